// Command aof-nats may import all that is below it.
package main

import (
	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
	"github.com/aof-nats/aof-nats/engine/enginetest" // want "cmd/aof-nats must not import engine/enginetest"
	"github.com/aof-nats/aof-nats/manifest"
)
