package segment

import (
	"github.com/aof-nats/aof-nats/engine/internal/tier" // want "engine/internal/segment must not import engine/internal/tier"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest" // want "engine/internal/segment must not import manifest"
)
