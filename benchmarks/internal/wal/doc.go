// Package wal compares the engine with write-ahead logs that Go programs embed:
// one goroutine appends records of 128 bytes, in a process of its own.
package wal
