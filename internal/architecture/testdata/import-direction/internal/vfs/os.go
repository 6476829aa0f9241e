package vfs

import (
	"github.com/aof-nats/aof-nats/internal/failpoint"
	"github.com/aof-nats/aof-nats/manifest" // want "internal/vfs must not import manifest"
)
