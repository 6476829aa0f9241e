// Package command is the command line of aof-nats: one verb a file. Verbs write
// what was asked for on standard output, and errors, progress and reports of
// what was skipped on standard error.
package command
