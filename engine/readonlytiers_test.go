package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// readPrefix reads a log from a sequence to its end and checks each record.
func readPrefix(ctx context.Context, l *Log) (last uint64, err error) {
	reader, err := l.NewReader(ReadOptions{})
	if err != nil {
		return 0, err
	}
	defer func() { err = joinClose(err, reader.Close()) }()
	for {
		rec, err := reader.Next(ctx)
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return last, fmt.Errorf("behind sequence %d: %w", last, err)
		}
		last++
		if err := checkTiered(rec, last); err != nil {
			return last, err
		}
	}
}

// A read-only log serves a prefix that only grows while its owner moves the
// segments, also between two refreshes.
func TestAReadOnlyLogFollowsItsOwnersMoves(t *testing.T) {
	const count = 700
	r := newTieredRoot(t)
	r.opts.HotBytesMax, r.opts.WarmBytesMax = 6*segmentBytesFloor, 2*segmentBytesFloor
	r.open(t)
	appendTiered(t, r.log, 1, 100)
	disk := vfs.OS()
	e, err := openReadOnly(r.dir, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	ctx := shortly(t)
	done := inBackground(func() error {
		for last := uint64(0); last < count; {
			if err := e.Refresh(); err != nil {
				return err
			}
			for range 2 {
				got, err := readPrefix(ctx, l)
				if err != nil {
					return err
				}
				if got < last {
					return fmt.Errorf("it ended with %d and ends with %d", last, got)
				}
				last = got
			}
		}
		return nil
	})
	appendTiered(t, r.log, 101, count-100)
	if err := r.log.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ends(t, "the reader", done); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	wantNothingOpen(t, disk)
}

// Between two refreshes all segments may have moved as far as they can.
func TestAReadOnlyLogFindsWhatMovedSinceItsRefresh(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 2, 40)
	e, err := openReadOnly(r.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	for _, kinds := range [][]planner.Kind{{planner.Compress, planner.EvictHot}, {planner.Upload, planner.EvictWarm}} {
		r.mustDo(t, 1, kinds...)
		if last, err := readPrefix(t.Context(), l); err != nil || last != 80 {
			t.Errorf("after %v: read to %d: %v", kinds, last, err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// From the bucket alone: new objects appear at a refresh, a damaged one names
// its sequences and costs no others, and its next generation replaces it.
func TestABucketIsReadAloneWhileItGrows(t *testing.T) {
	r := newTieredRoot(t).stepped()
	r.open(t)
	r.fill(t, 4, 40)
	for id := range 3 {
		r.mustDo(t, uint64(id+1), planner.Compress, planner.Upload)
	}
	whole, err := os.ReadFile(r.objectPath(2))
	if err != nil {
		t.Fatal(err)
	}
	changeFile(t, r.objectPath(2), func(b []byte) []byte { return b[:100] })
	e, err := OpenReadOnly(r.opts.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	wantSkipped := func(count int, first, last uint64) {
		t.Helper()
		var skipped []*DamageError
		records := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { skipped = append(skipped, d) }})
		if len(records) != count || len(skipped) != 1 || skipped[0].FirstSeq != first || skipped[0].LastSeq != last || skipped[0].Segment != 2 {
			t.Fatalf("%d records, skipped %v", len(records), skipped)
		}
	}
	wantSkipped(80, 41, 80)
	r.mustDo(t, 4, planner.Compress, planner.Upload)
	if err := e.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantSkipped(120, 41, 80)
	// Damage that shows only when it is read, mended by the owner.
	changeFile(t, r.objectPath(2), func([]byte) []byte { return flipAt(300)(append([]byte(nil), whole...)) })
	if err := e.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantSkipped(120, 41, 80)
	if !r.log.noteBadCopy(r.log.segmentByID(2), manifest.TierCold, ErrDamaged) {
		t.Fatal("the owner does not take it for damaged")
	}
	r.mustDo(t, 2, planner.Upload)
	if err := e.Refresh(); err != nil {
		t.Fatal(err)
	}
	if last, err := readPrefix(t.Context(), l); err != nil || last != 160 {
		t.Errorf("read to %d: %v", last, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
