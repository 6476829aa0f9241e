package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/engine"
)

func (a *app) readCommand() *cobra.Command {
	var (
		selected selection
		from     start
		toSeq    uint64
		follow   bool
	)
	called := &cobra.Command{
		Use:   "read LOG {-s URL | --root DIR}",
		Short: "Print records of a log",
		Long: `Prints the records of a log in order of sequence, each one verified. Only
records that are on stable storage are printed.

With --root the files are read: the root may be in use by serve, it is not
locked and not written to. What was stored last is printed once something in the
files proves that it is on the disk: the next record does, or a second without
one. Until then standard error says how many records are behind, and --follow
waits for them. Otherwise the bridge that serves the log is asked over
NATS; when the connection or the bridge is away for less than a minute, the
reading goes on where it was.

A line of --format ndjson is an object of seq, time, subject, ext_id, headers (values
without the blanks and tabs in front, as NATS clients show them) and data. Bytes that
are not UTF-8 are U+FFFD in subject and headers, and then subject_base64 and
headers_base64, whose names and values are all in base64, hold them too; such a
payload is data_base64 instead of data.

Damage ends the reading with exit code 5 and names the sequences concerned,
unless --skip-damaged is given: then the exit code is still 5, after everything that
can be read. What a lost manifest knew of is looked for in the bucket that the root
was used with; what is not found, or may be there while the bucket does not answer,
is damage too.

Where several logs of a bucket have one name, as after a root was begun anew, LOG
is NAME.ID, as log ls and the error show it.`,
		Example: `  aof-nats read ORDERS -s nats://127.0.0.1:4222 --from-time 15m
  aof-nats read ORDERS --root ./root --from-seq 100 --limit 10
  aof-nats read QUAKES --root ./root --subject 'quakes.us.*' --format ndjson | jq .
  aof-nats read QUAKES --root ./root --from-time 2026-01-31T13:00:00Z --format raw --delimiter '\n'`,
		Args: cobra.ExactArgs(1),
	}
	called.RunE = a.run(func(ctx context.Context, args []string) error {
		if err := selected.check(a.json); err != nil {
			return err
		}
		options := engine.ReadOptions{ToSeq: toSeq, Subjects: selected.subjects}
		if err := from.apply(&options, time.Now()); err != nil {
			return err
		}
		if toSeq > 0 && options.FromSeq > toSeq {
			return usagef("--from-seq %d is behind --to-seq %d", options.FromSeq, toSeq)
		}
		if selected.root.dir == "" {
			replay := replayFrom(&options)
			replay.Follow = follow
			return a.readOnline(ctx, args[0], &selected, replay)
		}
		return a.read(ctx, args[0], &selected, follow, func(context.Context, *engine.Log) (engine.ReadOptions, error) {
			return options, nil
		})
	})
	selected.addTo(called)
	from.addTo(called)
	called.Flags().Uint64Var(&toSeq, "to-seq", 0, "end with this sequence; 0: the last")
	called.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new records as they become durable, until interrupted")
	return called
}
