// Package load is the publisher of the comparisons: an unmodified nats.go
// client, in a process of its own, that does not know which server it talks to.
package load
