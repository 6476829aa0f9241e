package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/engine"
)

func (a *app) tailCommand() *cobra.Command {
	var (
		selected selection
		count    uint64
	)
	called := &cobra.Command{
		Use:   "tail LOG --root DIR",
		Short: "Print new records of a log as they become durable",
		Long: `Follows a log from its end until interrupted, as read --follow does. -n prints
the last records first; with --subject, the last that match.`,
		Example: `  aof-nats tail ORDERS --root ./root -n 10`,
		Args:    cobra.ExactArgs(1),
	}
	called.RunE = a.run(func(ctx context.Context, args []string) error {
		if err := selected.check(a.json); err != nil {
			return err
		}
		return a.read(ctx, args[0], &selected, true, func(ctx context.Context, log *engine.Log) (engine.ReadOptions, error) {
			from, err := seqOfLast(ctx, log, count, selected.subjects)
			return engine.ReadOptions{FromSeq: from, Subjects: selected.subjects}, err
		})
	})
	selected.addTo(called)
	called.Flags().Uint64VarP(&count, "lines", "n", 0, "begin with so many records that are there already")
	return called
}

// lookBackFactor is by how much the range grows in which matches are searched.
const lookBackFactor = 8

// seqOfLast is the sequence of the count-th last record that matches, or the
// first there is.
func seqOfLast(ctx context.Context, log *engine.Log, count uint64, subjects []string) (uint64, error) {
	state := log.State()
	first, last := state.FirstSeq, state.Watermarks.Durable
	if count == 0 || last < first {
		return max(last+1, first), nil
	}
	for span := count; ; span *= lookBackFactor {
		from := first
		if last-first >= span {
			from = last - span + 1
		}
		if len(subjects) == 0 {
			return from, nil
		}
		found, seq, err := countMatches(ctx, log, from, last, count, subjects)
		if err != nil || found >= count || from == first {
			return seq, err
		}
	}
}

// countMatches counts the records of a range that match and gives the sequence
// of the count-th last of them, or from if there are fewer.
func countMatches(ctx context.Context, log *engine.Log, from, to, count uint64, subjects []string) (found, seq uint64, err error) {
	reader, err := log.NewReader(engine.ReadOptions{
		FromSeq: from, ToSeq: to, Subjects: subjects,
		SkipDamaged: func(*engine.DamageError) {}, // it is reported when it is read
	})
	if err != nil {
		return 0, 0, fmt.Errorf("look for the last records: %w", err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	var last []uint64 // a ring of the last matches
	for rec, err := range reader.All(ctx) {
		if err != nil {
			return 0, 0, fmt.Errorf("look for the last records: %w", err)
		}
		if uint64(len(last)) < count {
			last = append(last, rec.Seq)
		} else {
			last[found%count] = rec.Seq
		}
		found++
	}
	if found < count {
		return found, from, nil
	}
	return found, last[found%count], nil
}
