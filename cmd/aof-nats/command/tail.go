package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

func (a *app) tailCommand() *cobra.Command {
	var (
		selected selection
		count    uint64
	)
	called := &cobra.Command{
		Use:   "tail LOG {-s URL | --root DIR}",
		Short: "Print new records of a log as they become durable",
		Long: `Follows a log from its end until interrupted, as read --follow does. -n prints
the last records first; with --subject, the last that match.`,
		Example: `  aof-nats tail ORDERS -s nats://127.0.0.1:4222
  aof-nats tail ORDERS --root ./root -n 10`,
		Args: cobra.ExactArgs(1),
	}
	called.RunE = a.run(func(ctx context.Context, args []string) error {
		if err := selected.check(a.json); err != nil {
			return err
		}
		if count > client.FromLastMax {
			return usagef("--lines %d is over %d: begin further back with read --follow --from-seq", count, client.FromLastMax)
		}
		if selected.root.dir == "" {
			return a.readOnline(ctx, args[0], &selected, client.ReplayOptions{Follow: true, FromLast: count, FromEnd: count == 0})
		}
		return a.read(ctx, args[0], &selected, true, func(ctx context.Context, log *engine.Log) (engine.ReadOptions, error) {
			from, err := seqOfLast(ctx, log, count, selected.subjects)
			return engine.ReadOptions{FromSeq: from, Subjects: selected.subjects}, err
		})
	})
	selected.addTo(called)
	called.Flags().Uint64VarP(&count, "lines", "n", 0, "begin with so many records that are there already, at most 1048576")
	return called
}

func seqOfLast(ctx context.Context, log *engine.Log, count uint64, subjects []string) (uint64, error) {
	seq, found, err := log.SeqOfLast(ctx, count, subjects)
	if errors.Is(err, engine.ErrDamaged) {
		return seq, nil
	}
	if err != nil || found > 0 {
		return seq, err
	}
	state := log.State()
	return max(state.Watermarks.Durable+1, state.FirstSeq), nil
}
