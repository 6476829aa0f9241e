package enginelike // want "enginelike is in no area"

import "github.com/aof-nats/aof-nats/engine"
