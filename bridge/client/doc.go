// Package client is what programs use that talk to a bridge over NATS: how to
// connect, as the nats command does, how to publish with many messages in
// flight and every answer accounted for, and how to read a log from any place on
// without missing a record. Any NATS client can do the same: a bridge answers as
// JetStream does, and its contract says how it replays.
package client
