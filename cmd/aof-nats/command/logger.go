package command

import (
	"log/slog"
)

// logger writes the program's own log to standard error: text for a person at a
// terminal, JSON otherwise.
func (a *app) logger(level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if isTerminal(a.env.Stderr) && !a.json {
		return slog.New(slog.NewTextHandler(a.env.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(a.env.Stderr, options))
}
