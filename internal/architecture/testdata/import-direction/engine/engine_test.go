package engine_test

import (
	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/engine/enginetest"
)
