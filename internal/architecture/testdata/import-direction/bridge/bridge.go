package bridge

import (
	"github.com/aof-nats/aof-nats/cmd/aof-nats/command" // want "bridge must not import cmd/aof-nats/command"
	"github.com/aof-nats/aof-nats/cshared"              // want "bridge must not import cshared"
	"github.com/aof-nats/aof-nats/engine"
)
