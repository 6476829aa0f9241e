package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aof-nats/aof-nats/engine"
)

// logWalk reads a whole log as a user does, and looks records up. What is damaged
// is known before; it is skipped.
type logWalk struct {
	log      *engine.Log
	check    *logCheck
	progress *progress

	latest  int64  // the largest timestamp so far
	segment uint64 // that the last record was in
}

// lookupStride is how many records lie between two that are looked up.
const lookupStride = 64

// walk reads every record. An error means that the rest could not be read.
func (w *logWalk) walk(ctx context.Context) (err error) {
	reader, err := w.log.NewReader(engine.ReadOptions{SkipDamaged: func(*engine.DamageError) {}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	for rec, err := range reader.All(ctx) {
		if err != nil {
			return err
		}
		if err := w.visit(ctx, rec, reader.RecordID()); err != nil {
			return err
		}
	}
	return nil
}

func (w *logWalk) visit(ctx context.Context, rec engine.Record, id engine.RecordID) error {
	w.progress.update(func() string {
		return fmt.Sprintf("looking records of %s up: sequence %d", w.check.Name, rec.Seq)
	})
	var err error
	if id.Segment() != w.segment || rec.Seq%lookupStride == 0 {
		err = w.lookUp(ctx, rec, id)
	}
	w.segment, w.latest = id.Segment(), max(w.latest, rec.Timestamp)
	return err
}

// lookUp finds a record in every way there is and compares.
func (w *logWalk) lookUp(ctx context.Context, rec engine.Record, id engine.RecordID) error {
	ways := []struct {
		name    string
		options engine.ReadOptions
	}{
		{"its sequence", engine.ReadOptions{FromSeq: rec.Seq}},
		{"its record id", engine.ReadOptions{FromRecordID: id}},
		{"its time", engine.ReadOptions{FromTime: rec.Timestamp}},
	}
	if rec.Timestamp <= w.latest {
		ways = ways[:2] // an earlier record has this time, or a later one
	}
	for _, way := range ways {
		same, err := w.finds(ctx, way.options, rec)
		if err != nil {
			return fmt.Errorf("look sequence %d up by %s: %w", rec.Seq, way.name, err)
		}
		w.check.Lookups++
		if !same {
			w.check.Damage = append(w.check.Damage, damageReport{
				Segment: id.Segment(), Offset: id.Offset(), FirstSeq: rec.Seq, LastSeq: rec.Seq - 1,
				Kind: string(engine.FoundContradiction), Part: string(engine.PartLog), Cost: string(engine.CostNone),
				Reason: fmt.Sprintf("looking sequence %d up by %s does not find it", rec.Seq, way.name),
			})
		}
	}
	return nil
}

func (w *logWalk) finds(ctx context.Context, options engine.ReadOptions, want engine.Record) (same bool, err error) {
	options.SkipDamaged = func(*engine.DamageError) {} // the check reports it
	reader, err := w.log.NewReader(options)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	got, err := reader.Next(ctx)
	if err != nil {
		return false, err
	}
	return got.Seq == want.Seq && got.Timestamp == want.Timestamp && bytes.Equal(got.Subject, want.Subject) &&
		bytes.Equal(got.Headers, want.Headers) && bytes.Equal(got.Payload, want.Payload), nil
}
