package main

import (
	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/cmd/aof-nats/command" // want "cshared must not import cmd/aof-nats/command"
	"github.com/aof-nats/aof-nats/engine"
)
