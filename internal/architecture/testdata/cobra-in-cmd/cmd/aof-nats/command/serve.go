package command

import "github.com/spf13/cobra"
