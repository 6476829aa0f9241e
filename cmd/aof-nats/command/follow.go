package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

const (
	outputBufferBytes = 64 << 10
	// refreshInterval is how often a follower looks for new records; looking
	// may take at most the refreshShare-th part of its time.
	refreshInterval = 100 * time.Millisecond
	refreshShare    = 10
)

// printing is one run of `read` or `tail`.
type printing struct {
	engine  *engine.Engine
	log     *engine.Log
	reader  *engine.Reader
	out     *bufio.Writer
	records recordWriter
	limit   uint64
	printed uint64
	toSeq   uint64
	follow  bool
	pause   time.Duration // until the next look at the root
}

// read prints the records that choose selects.
func (a *app) read(ctx context.Context, name string, s *selection, follow bool,
	choose func(context.Context, *engine.Log) (engine.ReadOptions, error),
) (err error) {
	out := bufio.NewWriterSize(a.env.Stdout, outputBufferBytes)
	records, err := newRecordWriter(out, s.format, s.delimiter)
	if err != nil {
		return err
	}
	eng, err := s.root.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	log, err := openLog(eng, s.root.dir, name)
	if err != nil {
		return err
	}
	a.sayLeftOut(log.State())
	options, err := choose(ctx, log)
	if err != nil {
		return err
	}
	skipped := 0
	if s.skipDamaged {
		options.SkipDamaged = func(damage *engine.DamageError) {
			skipped++
			fmt.Fprintf(a.env.Stderr, "skipped: %s\n", describeDamage(damage))
		}
	}
	reader, err := log.NewReader(options)
	if err != nil {
		return err
	}
	p := &printing{
		engine: eng, log: log, reader: reader, out: out, records: records,
		limit: s.limit, toSeq: options.ToSeq, follow: follow, pause: refreshInterval,
	}
	err = p.run(ctx)
	err = errors.Join(err, out.Flush(), reader.Close())
	if err == nil && !follow && !p.complete() && !p.pastEnd() {
		a.sayUnproven(log.State())
		err = endUnknown(log.State())
	}
	if err == nil && skipped > 0 {
		return &skippedError{ranges: skipped}
	}
	return explainDamage(err)
}

// sayLeftOut says what is known to be wrong with the log beside its segments.
func (a *app) sayLeftOut(state engine.State) {
	for _, left := range state.Recovery.Contradicting {
		fmt.Fprintf(a.env.Stderr, "left out: %s: %s\n", left.Path, left.Reason)
	}
	if why := state.Recovery.Incomplete; why != "" {
		where := "files and the bucket were searched for what it said"
		if unread := state.Recovery.BucketUnread; unread != nil {
			where = fmt.Sprintf("files were searched for what it said, and the bucket could not be asked: %v", unread)
		}
		fmt.Fprintf(a.env.Stderr, "log %s: %s: %s; %s\n", state.Name, why, where, howToComplete)
	}
}

// endUnknown says that the log may go on behind what was printed.
func endUnknown(state engine.State) error {
	if state.AppendStop == nil {
		return nil
	}
	return fmt.Errorf("%w: records behind sequence %d: %w; %s", engine.ErrDamaged, state.Watermarks.Durable, state.AppendStop, howToComplete)
}

// howToComplete is what to do about a manifest that lost records: opening the root
// looks at every copy and records what it finds.
const howToComplete = "serve --bucket URL mends the root; read --root URL reads what the bucket has"

// sayUnproven says that there are records which cannot be printed yet.
func (a *app) sayUnproven(state engine.State) {
	if state.Unproven == 0 {
		return
	}
	fmt.Fprintf(a.env.Stderr, "behind sequence %d the files hold %s that nothing in them proves to be on the disk yet: "+
		"read again in a second, with --follow, or over NATS with -s; if nobody has the root open, serve decides what is kept\n",
		state.Watermarks.Durable, plural(state.Unproven, "record"))
}

// run prints until the end or the limit, or, when following, until ctx ends.
func (p *printing) run(ctx context.Context) error {
	for {
		err := p.printReadable(ctx)
		if p.follow && ctx.Err() != nil {
			err = nil // that is how following ends
		}
		switch {
		case p.follow && ctx.Err() != nil, err != nil || p.complete() || !p.follow || p.pastEnd():
			return err
		}
		if err := p.out.Flush(); err != nil {
			return err
		}
		if err := p.awaitMore(ctx); err != nil {
			return err
		}
	}
}

// printReadable prints what is there now.
func (p *printing) printReadable(ctx context.Context) error {
	for !p.complete() {
		rec, err := p.reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.records.write(&rec); err != nil {
			return err
		}
		p.printed++
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (p *printing) complete() bool { return p.limit > 0 && p.printed >= p.limit }

// pastEnd reports whether all records up to the last one that is wanted are
// there, and so were read.
func (p *printing) pastEnd() bool { return p.toSeq > 0 && p.log.Watermarks().Durable >= p.toSeq }

// awaitMore lets some time go by and looks at the root again.
func (p *printing) awaitMore(ctx context.Context) error {
	timer := time.NewTimer(p.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil
	}
	began := time.Now()
	if err := p.engine.Refresh(); err != nil {
		return fmt.Errorf("look for new records: %w", err)
	}
	p.pause = max(refreshInterval, refreshShare*time.Since(began))
	return nil
}

// skippedError says that a reading that was told to skip damage met some.
type skippedError struct{ ranges int }

func (e *skippedError) Error() string {
	return fmt.Sprintf("skipped %s; restore the files from a copy, or from another tier", plural(e.ranges, "damaged range"))
}

// Is matches engine.ErrDamaged.
func (e *skippedError) Is(target error) bool { return target == engine.ErrDamaged }

// explainDamage says what to do about damage that ended a reading.
func explainDamage(err error) error {
	var damage *engine.DamageError
	if !errors.As(err, &damage) {
		return err
	}
	return fmt.Errorf("%w; --skip-damaged reads on behind it", err)
}
