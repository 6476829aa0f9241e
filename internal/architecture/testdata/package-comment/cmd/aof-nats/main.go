// The aof-nats binary.
package main
