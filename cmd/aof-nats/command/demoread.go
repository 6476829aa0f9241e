package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

const (
	// timeSlices is into how many parts the log is cut to be read by time.
	timeSlices = 8
	// filtersAtOnce is how many subject filters one replay has.
	filtersAtOnce = 8
	// pointReads is how many records are read one by one from the cold tier.
	pointReads = 200
	// proofTimeout bounds waiting for the mark behind the last records.
	proofTimeout = 20 * time.Second
)

// demoReader reads everything back and compares it.
type demoReader struct {
	log      string
	compared *comparison
	progress *progress
	client   *client.Client

	records uint64
	times   []int64 // of the records, by sequence from 1
}

// replay compares what a replay delivers.
func (r *demoReader) replay(ctx context.Context, p *comparisonPass, o client.ReplayOptions, each func(*client.Record)) (err error) {
	replay, err := r.client.Replay(r.log, o)
	if err != nil {
		return err
	}
	defer replay.Close()
	for {
		rec, err := replay.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		p.take(&storedRecord{seq: rec.Seq, subject: rec.Subject, header: rec.Header, payload: rec.Data})
		if each != nil {
			each(&rec)
		}
		r.progress.update(func() string { return fmt.Sprintf("%s: %s", p.name, plural(p.records, "record")) })
	}
}

// bySequence reads the log from its first record to its last.
func (r *demoReader) bySequence(ctx context.Context) error {
	pass := r.compared.pass("read by sequence", allEvents)
	err := r.replay(ctx, pass, client.ReplayOptions{FromSeq: 1}, func(rec *client.Record) {
		r.records++
		r.times = append(r.times, rec.Time.UnixNano())
	})
	if err != nil {
		return err
	}
	pass.end()
	return nil
}

// byTime reads it in slices, each of which is found by the time of its first
// record.
func (r *demoReader) byTime(ctx context.Context) (slices int, err error) {
	pass := r.compared.pass("read by time", allEvents)
	starts := r.timeStarts()
	for i, start := range starts {
		options := client.ReplayOptions{FromTime: time.Unix(0, r.times[start]).UTC()}
		if i+1 < len(starts) {
			options.ToSeq = uint64(starts[i+1])
		}
		if err := r.replay(ctx, pass, options, nil); err != nil {
			return 0, err
		}
	}
	pass.end()
	return len(starts), nil
}

// timeStarts are places in times at which reading by time begins: each later
// than all before it, so that its time finds it and no other.
func (r *demoReader) timeStarts() []int {
	var starts []int
	var latest int64
	for i, at := range r.times {
		if (i == 0 || at > latest) && i >= len(starts)*len(r.times)/timeSlices {
			starts = append(starts, i)
		}
		latest = max(latest, at)
	}
	return starts
}

// bySubject reads it by filters that together match every event once.
func (r *demoReader) bySubject(ctx context.Context) (filters int, err error) {
	groups := r.compared.ledger.groups
	for first := 0; first < len(groups); first += filtersAtOnce {
		behind := min(first+filtersAtOnce, len(groups))
		wanted := func(e *ledgerEvent) bool { return e.group >= first && e.group < behind }
		pass := r.compared.pass("read by subject", wanted)
		if err := r.replay(ctx, pass, client.ReplayOptions{FromSeq: 1, Subjects: groups[first:behind]}, nil); err != nil {
			return 0, err
		}
		pass.end()
	}
	return len(groups), nil
}

// fromFiles reads it from root and bucket, without the bridge that is using
// them.
func (r *demoReader) fromFiles(ctx context.Context, root string) (made engine.BucketRequests, err error) {
	eng, err := engine.OpenReadOnly(root)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	log, err := eng.OpenLog(r.log, engine.LogOptions{})
	if err != nil {
		return made, err
	}
	if err := r.awaitProof(ctx, eng, log); err != nil {
		return made, err
	}
	reader, err := log.NewReader(engine.ReadOptions{})
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	pass := r.compared.pass("read from the files", allEvents)
	for rec, err := range reader.All(ctx) {
		if err != nil {
			return made, fmt.Errorf("%s: %w", pass.name, err)
		}
		pass.take(&storedRecord{seq: rec.Seq, subject: string(rec.Subject), header: headersOf(&rec), payload: rec.Payload})
		r.progress.update(func() string { return fmt.Sprintf("%s: %s", pass.name, plural(pass.records, "record")) })
	}
	pass.end()
	return eng.Stats().Requests, nil
}

// awaitProof waits until the files prove that the last records are durable: the
// mark that does so is written when a log has been idle for a second. What does
// not come in time is found missing by who reads.
func (r *demoReader) awaitProof(ctx context.Context, eng *engine.Engine, log *engine.Log) error {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	for log.Watermarks().Durable < r.records {
		r.progress.update(func() string { return "waiting for the mark behind the last records" })
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			return ctx.Err()
		}
		if err := eng.Refresh(); err != nil {
			return err
		}
	}
	return nil
}

// coldPoints reads single records of segments that only the bucket holds, and
// returns how long each took.
func (r *demoReader) coldPoints(ctx context.Context, segments []engine.SegmentState) ([]time.Duration, error) {
	var seqs []uint64
	for _, s := range segments {
		for seq := s.BaseSeq; nearestTier(s) == tierCold && seq <= s.LastSeq; seq++ {
			seqs = append(seqs, seq)
		}
	}
	var took []time.Duration
	step := max(1, len(seqs)/pointReads)
	for i := 0; i < len(seqs); i += step {
		seq := seqs[i]
		pass := r.compared.pass("read one record", func(e *ledgerEvent) bool { return e.seq == seq })
		began := time.Now()
		if err := r.replay(ctx, pass, client.ReplayOptions{FromSeq: seq, ToSeq: seq}, nil); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		pass.end()
	}
	return took, nil
}
