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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(command.Run(ctx, command.Environment{
		Args: os.Args[1:], Version: version, Getenv: os.Getenv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}))
}
