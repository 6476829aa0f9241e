// Package wire is the bridge's own NATS client connection for the hot path:
// intake of messages and answers to publishers. It differs from a general
// client in what the bridge needs and a general client cannot give:
//
//   - one order of messages across all subscriptions of the connection;
//   - messages are borrowed from the read buffer: no allocation, goroutine or
//     channel operation a message;
//   - the handler is told where a socket read ends, so that it can hand over
//     what it gathered once a read;
//   - answers leave in one buffered write, with inline status lines;
//   - what waits to be written is bounded in bytes.
//
// Credentials, TLS, server pool and timeouts come from a nats.Options value, so
// that this connection and the general client beside it are configured alike.
package wire
