package command

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Environment is what a run of the command line gets from its process.
type Environment struct {
	// Args are the arguments without the program's name.
	Args []string
	// Version is what `version` prints and the metrics carry.
	Version string
	// Getenv looks a variable up, as os.Getenv does.
	Getenv func(string) string
	// Stdin, Stdout and Stderr are the streams. Progress is shown only if
	// Stderr is a terminal.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// app is one run.
type app struct {
	env     Environment
	json    bool
	log     *logWriter // of a verb that has one
	started bool       // the verb runs: what fails now is not how it was called
}

// Run runs one command line and returns the exit code of the process. When ctx
// ends, a server drains and stops, and everything else ends early.
func Run(ctx context.Context, env Environment) int {
	a := &app{env: env}
	defer a.closeLog()
	root := a.rootCommand()
	called, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitSuccess
	}
	if !a.started {
		err = usage(err)
	}
	a.printError(called, err)
	return exitCode(err)
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "aof-nats",
		Short: "An event log for NATS",
		Long: `aof-nats stores NATS subjects in append-only logs and acknowledges each
message once its record is on stable storage.

Exit codes: 0 success, 1 usage, 2 not found, 3 authentication, 4 I/O,
5 corruption found, 6 backpressure or timeout.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(a.env.Args)
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.PersistentFlags().BoolVarP(&a.json, "json", "j", false, "print JSON instead of text")
	root.AddCommand(
		a.serveCommand(), a.publishCommand(), a.readCommand(), a.tailCommand(),
		a.logCommand(), a.fsckCommand(), a.demoCommand(), a.versionCommand(),
	)
	return root
}

// run makes a verb's function out of one that gets its arguments only.
func (a *app) run(verb func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(called *cobra.Command, args []string) error {
		a.started = true
		return verb(called.Context(), args)
	}
}

func (a *app) printError(called *cobra.Command, err error) {
	fmt.Fprintf(a.env.Stderr, "%s: %v\n", called.CommandPath(), err)
	if exitCode(err) == exitUsage {
		fmt.Fprintf(a.env.Stderr, "Run '%s --help' for its use.\n", called.CommandPath())
	}
}
