package manifest

import (
	"github.com/aof-nats/aof-nats/engine"                  // want "manifest must not import engine"
	"github.com/aof-nats/aof-nats/engine/internal/segment" // want "manifest must not import engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)
