package manifest_test

import (
	"github.com/aof-nats/aof-nats/engine/enginetest" // want "manifest must not import engine/enginetest"
	"github.com/aof-nats/aof-nats/manifest"
)
