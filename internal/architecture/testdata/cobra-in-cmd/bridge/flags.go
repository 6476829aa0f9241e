package bridge

import (
	"github.com/spf13/cobra" // want "for cmd only"
	"github.com/spf13/pflag" // want "for cmd only"
)
