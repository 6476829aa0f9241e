package main

import server "github.com/nats-io/nats-server/v2/server" // want "for bridge only"
