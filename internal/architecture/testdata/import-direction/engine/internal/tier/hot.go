package tier

import (
	"github.com/aof-nats/aof-nats/engine" // want "engine/internal/tier must not import engine"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/failpoint"
	"github.com/aof-nats/aof-nats/manifest" // want "engine/internal/tier must not import manifest"
)
