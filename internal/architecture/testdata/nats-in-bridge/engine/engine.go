package engine

import (
	"github.com/nats-io/nats.go/jetstream" // want "for bridge only"
	"github.com/nats-iota/unrelated"
)
