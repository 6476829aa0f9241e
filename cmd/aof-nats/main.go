// Command aof-nats is the event log for NATS: it serves logs, publishes to
// them, reads them back and checks them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/aof-nats/aof-nats/cmd/aof-nats/command"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go obey(signals, cancel)
	os.Exit(command.Run(ctx, command.Environment{
		Args: os.Args[1:], Version: version, Getenv: os.Getenv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}))
}

// exitSignaled is the base of the exit codes of processes that a signal ended.
const exitSignaled = 128

// obey asks the program to end at the first signal and ends it at the second.
// It lives as long as the process.
func obey(signals <-chan os.Signal, cancel context.CancelFunc) {
	<-signals
	cancel()
	code := exitSignaled
	if number, ok := (<-signals).(syscall.Signal); ok {
		code += int(number)
	}
	os.Exit(code)
}
