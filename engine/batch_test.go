package engine

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func numberedBatch(first, count int) []Record {
	recs := make([]Record, count)
	for i := range recs {
		recs[i] = *numbered(first + i)
	}
	return recs
}

// crashing runs what a crash of the disk ends, and reports whether it did.
func crashing(do func()) (crashed bool) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, crashed = cause.(vfs.Crashed); !crashed {
				panic(cause)
			}
		}
	}()
	do()
	return false
}

// The power goes at every operation that batches cause, over rollovers and
// seals. Of an atomic batch all is there afterwards, or nothing; of another a
// prefix may be.
func TestPowerCutAtAnyOperationKeepsAtomicBatchesWhole(t *testing.T) {
	for _, atomic := range []bool{true, false} {
		for seed := uint64(1); seed <= 2; seed++ {
			split := 0
			for crashAt := 1; ; crashAt++ {
				disk := vfs.NewMem(seed*1000 + uint64(crashAt))
				l := openManual(t, disk, smallSegments())
				var acked, appended uint64
				disk.CrashAt(crashAt)
				crashed := crashing(func() { appendBatches(l, atomic, &appended, &acked) })
				disk.CrashAt(0)
				disk.PowerCut()
				l = openManual(t, disk, smallSegments())
				last := l.Watermarks().Durable
				where := fmt.Sprintf("atomic %v, seed %d, operation %d", atomic, seed, crashAt)
				if last < acked || last > appended || len(l.recovery.Damaged) > 0 {
					t.Fatalf("%s: %d records, %d acked, %d appended, damage %v", where, last, acked, appended, l.recovery.Damaged)
				}
				wantRecords(t, readAll(t, l, ReadOptions{}), 1, int(last))
				if last%batchRecords != 0 {
					split++
				}
				disk.ProcessCrash()
				if !crashed {
					break
				}
			}
			if atomic && split > 0 {
				t.Errorf("seed %d: atomic batches were split %d times", seed, split)
			}
		}
	}
}

const batchRecords = 7

func appendBatches(l *Log, atomic bool, appended, acked *uint64) {
	for range 12 {
		for range 4 {
			if _, err := l.AppendBatch(numberedBatch(int(*appended)+1, batchRecords), BatchOptions{Atomic: atomic}); err != nil {
				panic(err)
			}
			*appended += batchRecords
		}
		if err := appendAndCommit(l, 0); err != nil {
			panic(err)
		}
		*acked = l.Watermarks().Durable
	}
}

func TestAtomicBatchLiesInOneSegmentAndBatchesMixWithOthersWhole(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), smallSegments())
	const writers, each = 4, 25
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				recs := make([]Record, 3+w)
				for n := range recs {
					recs[n] = Record{ExtID: uint64(w*1000+i)<<8 | uint64(n), Payload: make([]byte, 500)}
				}
				first, err := l.AppendBatch(recs, BatchOptions{Atomic: w%2 == 0})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				if err := l.Wait(shortly(t), first+uint64(len(recs))-1, Durable); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	group.Wait()
	r, err := l.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var before Record
	var segmentBefore uint64
	for rec, err := range r.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		batch, number := rec.ExtID>>8, rec.ExtID&0xff
		if number > 0 && (before.ExtID>>8 != batch || before.ExtID&0xff != number-1) {
			t.Fatalf("record %d of batch %d follows record %d of batch %d", number, batch, before.ExtID&0xff, before.ExtID>>8)
		}
		if number > 0 && (batch/1000)%2 == 0 && r.RecordID().Segment() != segmentBefore {
			t.Fatalf("atomic batch %d lies in segments %d and %d", batch, segmentBefore, r.RecordID().Segment())
		}
		before, segmentBefore = rec.Clone(), r.RecordID().Segment()
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(l.State().Segments); n < 3 {
		t.Errorf("%d segments, want several", n)
	}
}

func TestBatchIsRefusedWhole(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), smallSegments())
	appendMany(t, l, 1, 3)
	large := func(count int) []Record {
		recs := make([]Record, count)
		for i := range recs {
			recs[i].Payload = make([]byte, 9_000)
		}
		return recs
	}
	bad := append(numberedBatch(4, 5), Record{Headers: []byte("no header"), Payload: []byte("x")})
	cases := []struct {
		name   string
		recs   []Record
		atomic bool
		want   error
	}{
		{"empty", nil, false, ErrInvalidRecord},
		{"empty and atomic", nil, true, ErrInvalidRecord},
		{"longer than a segment", large(8), true, ErrTooLarge},
		{"one record longer than a segment", []Record{{Payload: make([]byte, 70_000)}}, false, ErrTooLarge},
		{"one invalid record", bad, false, ErrInvalidRecord},
		{"one invalid record, atomic", bad, true, ErrInvalidRecord},
	}
	for _, c := range cases {
		first, err := l.AppendBatch(c.recs, BatchOptions{Atomic: c.atomic})
		if !errors.Is(err, c.want) || first != 0 {
			t.Errorf("%s: %d, %v", c.name, first, err)
		}
	}
	if last := l.Watermarks().Appended; last != 3 {
		t.Fatalf("%d records were appended all the same", last-3)
	}
	first, err := l.AppendBatch(large(8), BatchOptions{}) // over segments
	if err != nil || first != 4 {
		t.Fatalf("%d, %v", first, err)
	}
	if err := l.Wait(shortly(t), 11, Durable); err != nil {
		t.Fatal(err)
	}
}

// The longest atomic batch and the longest record that are accepted do fit.
func TestWhatIsNotTooLargeFits(t *testing.T) {
	for _, atomic := range []bool{true, false} {
		disk := vfs.NewMem(1)
		l := openManual(t, disk, smallSegments())
		appendNumbered(t, l, 1, 1)
		commitManual(t, l)
		size := segmentBytesFloor
		for seq := uint64(2); ; {
			var recs []Record
			if atomic {
				recs = []Record{{Payload: make([]byte, size/2)}, {Payload: make([]byte, size/2)}}
			} else {
				recs = []Record{{Payload: make([]byte, size)}}
			}
			first, err := l.AppendBatch(recs, BatchOptions{Atomic: atomic})
			if errors.Is(err, ErrTooLarge) {
				size -= 8
				continue
			}
			if err != nil || first != seq {
				t.Fatalf("%d bytes: %d, %v", size, first, err)
			}
			commitManual(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			disk.PowerCut()
			l = openManual(t, disk, smallSegments())
			if last := l.Watermarks().Durable; last != seq+uint64(len(recs))-1 || l.recovery.Eventful() {
				t.Errorf("%d bytes: last %d, recovery %+v", size, last, l.recovery)
			}
			break
		}
		if room := segmentBytesFloor - int64(size); room > segment.ReserveBytes(segmentBytesFloor)+300 {
			t.Errorf("the largest has %d bytes, %d less than a segment", size, room)
		}
		disk.ProcessCrash()
	}
}
