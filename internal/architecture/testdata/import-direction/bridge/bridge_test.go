package bridge

import (
	"github.com/aof-nats/aof-nats/engine/enginetest"
	"github.com/aof-nats/aof-nats/internal/vfs"
)
