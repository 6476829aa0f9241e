package command

import (
	"io"
	"log/slog"
	"os/signal"
	"syscall"
)

// logger writes the program's own log to standard error, and never waits for who
// reads that: from here on, everything that is written there goes the same way,
// until closeLog is called.
func (a *app) logger(level slog.Level) *slog.Logger {
	// A write to a pipe that nobody holds open any more would end the process.
	signal.Ignore(syscall.SIGPIPE)
	stderr := a.env.Stderr
	options := &slog.HandlerOptions{Level: level}
	handler := func(out io.Writer) slog.Handler { return slog.NewJSONHandler(out, options) }
	if isTerminal(stderr) && !a.json {
		handler = func(out io.Writer) slog.Handler { return slog.NewTextHandler(out, options) }
	}
	direct := slog.New(handler(stderr))
	a.log = newLogWriter(stderr, func(lines uint64) {
		direct.Warn("lines of this log were dropped, since they were not read in time", "lines", lines)
	})
	a.env.Stderr = a.log
	return slog.New(handler(a.log))
}

// closeLog writes what was logged, if the program has a log.
func (a *app) closeLog() {
	if a.log != nil {
		a.log.close()
		signal.Reset(syscall.SIGPIPE)
	}
}
