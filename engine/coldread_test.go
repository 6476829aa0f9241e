package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/manifest"
)

// A point read from the bucket is one ranged GET of the frame, and one more for
// the index if that is not in memory.
func TestAPointReadFromTheBucketIsOneRangedGet(t *testing.T) {
	r := newDamagedRoot(t, tierSet(manifest.TierCold))
	l := r.open(t)
	readOne := func(seq uint64) (requests int, bytes int64) {
		before, all := r.driver.Counts(), requestsOf(r)
		wantTiered(t, readAll(t, l, ReadOptions{FromSeq: seq, ToSeq: seq}), int(seq), 1, 1)
		after := r.driver.Counts()
		if n := requestsOf(r) - all; n != after.Gets-before.Gets {
			t.Errorf("%d requests, %d of them GETs", n, after.Gets-before.Gets)
		}
		return after.Gets - before.Gets, after.BytesGot - before.BytesGot
	}
	if n, _ := readOne(1); n != 2 {
		t.Errorf("%d GETs without the index", n)
	}
	object, err := l.openObjectIn(t.Context(), l.segmentByID(1), manifest.TierCold)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{1, 200, 333, damagedEach} {
		frame := 0
		for i := range object.Frames() {
			if first, _ := object.FrameSeqs(i); first <= seq {
				frame = i
			}
		}
		_, length, _ := object.FrameRange(frame)
		if n, bytes := readOne(seq); n != 1 || bytes > length+length/10 {
			t.Errorf("sequence %d: %d GETs of %d bytes, the frame has %d", seq, n, bytes, length)
		}
	}
	before := r.driver.Counts()
	wantTiered(t, readAll(t, l, ReadOptions{ToSeq: damagedEach}), 1, 1, damagedEach)
	after := r.driver.Counts()
	if n := after.Gets - before.Gets; n != object.Frames() {
		t.Errorf("%d GETs for %d frames in order", n, object.Frames())
	}
}

func requestsOf(r *tieredRoot) int { return requests(r.driver) }

// Readers see every record right while segments move through all tiers under
// them.
func TestReadersWhileSegmentsMove(t *testing.T) {
	const readers, count = 8, 900
	r := newTieredRoot(t)
	r.opts.HotBytesMax, r.opts.WarmBytesMax = 6*segmentBytesFloor, 2*segmentBytesFloor
	l := r.open(t)
	ctx, cancel := context.WithCancel(shortly(t))
	defer cancel()
	var group sync.WaitGroup
	for n := range readers {
		group.Go(func() {
			var err error
			if n%2 == 0 {
				err = followTo(ctx, l, count)
			} else {
				err = pointReads(ctx, l, count, uint64(n))
			}
			if err != nil {
				t.Errorf("reader %d: %v", n, err)
			}
		})
	}
	appendTiered(t, l, 1, count)
	group.Wait()
	if err := l.Seal(shortly(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is cold", func() bool { return allCold(l) })
	if bad := r.events.of(EventSegmentQuarantined, EventSegmentWarmFailed, EventSegmentUploadFailed); len(bad) != 0 {
		t.Errorf("told %+v", bad)
	}
	if _, _, _, coldOnly := residency(l); coldOnly == 0 {
		t.Error("nothing is only cold")
	}
}

func checkTiered(rec Record, seq uint64) error {
	want := tieredRecord(int(seq))
	if rec.Seq != seq || string(rec.Payload) != string(want.Payload) || string(rec.Subject) != string(want.Subject) {
		return fmt.Errorf("sequence %d is %d %q", seq, rec.Seq, rec.Subject)
	}
	return nil
}

// followTo reads from the start to a sequence, as it comes.
func followTo(ctx context.Context, l *Log, to uint64) (err error) {
	reader, err := l.NewReader(ReadOptions{Follow: true})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, reader.Close()) }()
	for seq := uint64(1); seq <= to; seq++ {
		rec, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		if err := checkTiered(rec, seq); err != nil {
			return err
		}
	}
	return nil
}

// pointReads reads a single record anywhere at each new one, until the last is
// there.
func pointReads(ctx context.Context, l *Log, to, seed uint64) error {
	random := simRandom{state: seed}
	for durable := uint64(0); durable < to; {
		if err := l.awaitAdvance(ctx, Durable, durable); err != nil {
			return err
		}
		durable = l.Watermarks().Durable
		if err := pointRead(ctx, l, 1+random.next()%durable); err != nil {
			return err
		}
	}
	return nil
}

func pointRead(ctx context.Context, l *Log, seq uint64) (err error) {
	reader, err := l.NewReader(ReadOptions{FromSeq: seq, ToSeq: seq})
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, reader.Close()) }()
	rec, err := reader.Next(ctx)
	if err != nil {
		return err
	}
	if err := checkTiered(rec, seq); err != nil {
		return err
	}
	if _, err := reader.Next(ctx); !errors.Is(err, io.EOF) {
		return fmt.Errorf("behind sequence %d: %w", seq, err)
	}
	return nil
}

// What a reader holds stays.
func TestAHotSegmentThatIsReadStays(t *testing.T) {
	r := newDamagedRoot(t, tierSet(tiersNearestFirst...))
	reader, err := r.log.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := reader.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.do(planner.EvictHot, 1); !errors.Is(err, errPinned) {
		t.Errorf("evict: %v", err)
	}
	if err := checkTiered(rec, 1); err != nil {
		t.Error(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	r.mustDo(t, 1, planner.EvictHot)
}

// Closing the engine ends what is under way: moves, readers that wait for the
// bucket, and look-ups; nothing stays open.
func TestCloseEndsMovesAndReadsThatWaitForTheBucket(t *testing.T) {
	r := newTieredRoot(t)
	r.opts.HotBytesMax, r.opts.WarmBytesMax = 6*segmentBytesFloor, segmentBytesFloor
	l := r.open(t)
	appendTiered(t, l, 1, 6*70)
	r.seal(t)
	eventually(t, "a segment is only cold", func() bool {
		_, _, _, coldOnly := residency(l)
		return coldOnly > 0 && allCold(l)
	})
	hang := r.driver.Add(buckettest.Rule{Fault: buckettest.Hang})
	appendTiered(t, l, 6*70+1, 70)
	r.seal(t) // its upload hangs
	at := tieredRecord(1).Timestamp
	opening := inBackground(func() error {
		reader, err := l.NewReader(ReadOptions{FromTime: at})
		if err == nil {
			err = errors.Join(errors.New("it was opened"), reader.Close())
		}
		return err
	})
	eventually(t, "uploads and the reader wait", func() bool { return hang.Applied() >= 2 && len(opening) == 0 })
	r.close(t)
	if err := ends(t, "the reader", opening); !errors.Is(err, ErrClosed) && !errors.Is(err, bucket.ErrClosed) {
		t.Errorf("the reader: %v", err)
	}
	r.driver.Clear()
	l = r.open(t)
	wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 7*70)
	if err := l.Wait(shortly(t), 7*70, Cold); err != nil {
		t.Error(err)
	}
}
