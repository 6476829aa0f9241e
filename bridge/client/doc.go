// Package client is what programs use that talk to a bridge over NATS: how to
// connect, as the nats command does, and how to publish with many messages in
// flight and every answer accounted for. Any NATS client can do the same; a
// bridge answers as JetStream does.
package client
