package enginetest

import (
	"github.com/aof-nats/aof-nats/bridge" // want "engine/enginetest must not import bridge"
	"github.com/aof-nats/aof-nats/engine"
)
