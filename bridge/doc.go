// Package bridge joins NATS and the engine: publishers of NATS subjects get
// their messages into append-only logs and an acknowledgement, of the shape
// that JetStream gives, once the record has reached the log's level of safety.
// It runs an embedded NATS server or uses servers elsewhere. It is the only
// package that imports NATS.
//
// docs/nats-contract.md states what a publisher sees.
//
// How a message goes. One connection (internal/wire) carries intake and answers
// of all logs. Its reading goroutine takes each message through the checks
// (checks.go), appends it and notes the reply subject; at the end of each
// socket read it hands what it noted to the ack queues and asks the log for the
// level (intake.go). One goroutine per log and level waits for the log's
// watermark and answers everything that it covers in one write (acker.go).
// Intake never blocks: what is refused is answered at once.
//
// Lock order: a lock of this package is never held while another is taken, nor
// over a call into the engine or the network.
package bridge
