package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// timeOf is the clock of a source that now and then jumps back.
func timeOf(n int) int64 {
	at := int64(1_000_000 + 10*n)
	if n%97 > 80 {
		at -= 2500
	}
	return at
}

func appendTimed(t *testing.T, l *Log, first, count int) {
	t.Helper()
	for n := first; n < first+count; n++ {
		rec := numbered(n)
		rec.Timestamp = timeOf(n)
		if _, err := l.AppendSync(t.Context(), rec); err != nil {
			t.Fatalf("append %d: %v", n, err)
		}
	}
}

// firstReaching is what a reader from a time must begin with: the first of the
// records at which the maximum timestamp so far reaches it.
func firstReaching(from int64, count int) int {
	for n := 1; n <= count; n++ {
		if timeOf(n) >= from {
			return n
		}
	}
	return count + 1
}

// eachWayToOpen runs a test on a log that was just written, on the same after a
// reopen, and on a read-only engine.
func eachWayToOpen(t *testing.T, opts LogOptions, fill func(*testing.T, *Log), check func(*testing.T, *Log)) {
	dir := t.TempDir()
	t.Run("live", func(t *testing.T) {
		l := openLogTest(t, openTest(t, dir), opts)
		fill(t, l)
		check(t, l)
	})
	t.Run("reopened", func(t *testing.T) { check(t, openLogTest(t, openTest(t, dir), opts)) })
	t.Run("read-only", func(t *testing.T) {
		e, err := OpenReadOnly(dir)
		if err != nil {
			t.Fatal(err)
		}
		l := openLogTest(t, e, opts)
		check(t, l)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		wantNothingOpen(t, e.opts.FS)
	})
}

func TestReaderFromATimeBeginsWhereTheMaximumSoFarReachesIt(t *testing.T) {
	const count = 3000
	fill := func(t *testing.T, l *Log) { appendTimed(t, l, 1, count) }
	eachWayToOpen(t, smallSegments(), fill, func(t *testing.T, l *Log) {
		if n := len(l.State().Segments); n < 4 {
			t.Fatalf("%d segments, want several", n)
		}
		for from := timeOf(1) - 15; from < timeOf(count)+30; from += 173 {
			first := firstReaching(from, count)
			records := readAll(t, l, ReadOptions{FromTime: from, ToSeq: uint64(first + 5)})
			wantRecords(t, records, first, min(6, count-first+1))
		}
	})
}

// A frame of the index begins at a record of any kind, so also at a mark.
func TestReaderFromATimeInAFrameThatBeginsWithAMark(t *testing.T) {
	disk := vfs.NewMem(1)
	opts := LogOptions{SegmentBytesMin: 1 << 20, SegmentBytesMax: 1 << 20}
	l := openManual(t, disk, opts)
	n := 0
	appendOne := func() {
		n++
		if _, err := l.Append(&Record{Timestamp: int64(n), Payload: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	for n == 0 || l.mu.tail.tail.end < segment.HeaderBytes+segment.FrameBytes {
		appendOne()
	}
	commitManual(t, l)
	l.committer.tick()
	for range 10 {
		appendOne()
	}
	commitManual(t, l)
	l.retireTail()
	for l.keeper.step() {
	}
	for from := n - 12; from <= n; from++ {
		records := readAll(t, l, ReadOptions{FromTime: int64(from)})
		if len(records) != n-from+1 || records[0].Seq != uint64(from) {
			t.Fatalf("from time %d: %d records", from, len(records))
		}
	}
	disk.ProcessCrash()
}

func TestReaderFromARecordID(t *testing.T) {
	const count = 1500
	fill := func(t *testing.T, l *Log) { appendTimed(t, l, 1, count) }
	eachWayToOpen(t, smallSegments(), fill, func(t *testing.T, l *Log) {
		places := placesOf(t, l)
		if len(places) != count {
			t.Fatalf("%d records", len(places))
		}
		for i := 0; i < count; i += 7 {
			wantRecords(t, readAll(t, l, ReadOptions{FromRecordID: places[i], ToSeq: uint64(i + 3)}), i+1, min(3, count-i))
		}
		for _, id := range recordIDsOfNothing(l, places) {
			if _, err := l.NewReader(ReadOptions{FromRecordID: id}); !errors.Is(err, ErrNotFound) {
				t.Errorf("segment %d offset %d: %v, want ErrNotFound", id.Segment(), id.Offset(), err)
			}
		}
	})
}

// placesOf reads the record id of every record.
func placesOf(t *testing.T, l *Log) (places []RecordID) {
	t.Helper()
	r, err := l.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range r.All(t.Context()) {
		if err != nil {
			t.Fatalf("behind %d records: %v", len(places), err)
		}
		if rec.Seq != uint64(len(places)+1) {
			t.Fatalf("sequence %d behind %d", rec.Seq, len(places))
		}
		places = append(places, r.RecordID())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return places
}

func recordIDsOfNothing(l *Log, places []RecordID) []RecordID {
	last := places[len(places)-1]
	ids := []RecordID{
		NewRecordID(99, segment.HeaderBytes), NewRecordID(0, segment.HeaderBytes), last + 8, last + 1, NewRecordID(last.Segment(), 1<<31),
	}
	for _, s := range l.State().Segments {
		ids = append(ids, NewRecordID(s.ID, 0), NewRecordID(s.ID, 8), NewRecordID(s.ID, segment.HeaderBytes+8), NewRecordID(s.ID, s.Bytes), NewRecordID(s.ID, s.Bytes-segment.FooterBytes))
	}
	for _, s := range *l.segments.Load() {
		if footer := s.seal.Load(); footer != nil {
			ids = append(ids, NewRecordID(s.id(), int64(footer.IndexOffset)-segment.SealMarkBytes), NewRecordID(s.id(), int64(footer.IndexOffset)))
		}
	}
	for i := range ids {
		if ids[i] == 0 {
			ids[i] = 1 // 0 means that no record id is given
		}
	}
	return ids
}

func TestReaderReturnsWhatMatchesAFilter(t *testing.T) {
	subjects := []string{"a", "a.b", "a.b.c", "a.c", "b.b", "b.b.c.d", "b", "a.b.d", "x.b.c", "a.>x"}
	cases := []struct {
		filters []string
		want    []string
	}{
		{nil, subjects},
		{[]string{">"}, subjects},
		{[]string{"a"}, []string{"a"}},
		{[]string{"a.*"}, []string{"a.b", "a.c", "a.>x"}},
		{[]string{"a.>"}, []string{"a.b", "a.b.c", "a.c", "a.b.d", "a.>x"}},
		{[]string{"*.b.*"}, []string{"a.b.c", "a.b.d", "x.b.c"}},
		{[]string{"*.b.>"}, []string{"a.b.c", "b.b.c.d", "a.b.d", "x.b.c"}},
		{[]string{"a.c", "b"}, []string{"a.c", "b"}},
		{[]string{"a.*", "a.b", ">"}, subjects},
		{[]string{"nobody", "a.b.c.>"}, nil},
	}
	const rounds = 300
	fill := func(t *testing.T, l *Log) {
		for range rounds {
			for _, subject := range subjects {
				if _, err := l.Append(&Record{Subject: []byte(subject), Payload: []byte(subject)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.Wait(t.Context(), rounds*uint64(len(subjects)), Durable); err != nil {
			t.Fatal(err)
		}
	}
	eachWayToOpen(t, smallSegments(), fill, func(t *testing.T, l *Log) {
		for _, c := range cases {
			records := readAll(t, l, ReadOptions{Subjects: c.filters})
			if len(records) != rounds*len(c.want) {
				t.Fatalf("%q: %d records, want %d", c.filters, len(records), rounds*len(c.want))
			}
			for i, rec := range records {
				if want := c.want[i%len(c.want)]; string(rec.Subject) != want || string(rec.Payload) != want {
					t.Fatalf("%q: record %d has subject %q, want %q", c.filters, i, rec.Subject, want)
				}
			}
		}
	})
}

func TestReaderEndsAtToSeq(t *testing.T) {
	l := openLogTest(t, openTest(t, t.TempDir()), LogOptions{})
	appendMany(t, l, 1, 40)
	for _, c := range []struct{ from, to uint64 }{{1, 1}, {1, 40}, {7, 9}, {40, 40}, {20, 19}, {39, 400}, {41, 50}} {
		last := min(c.to, 40)
		count := 0
		if last >= c.from {
			count = int(last - c.from + 1)
		}
		wantRecords(t, readAll(t, l, ReadOptions{FromSeq: c.from, ToSeq: c.to}), int(c.from), count)
	}
	follower, err := l.NewReader(ReadOptions{FromSeq: 39, ToSeq: 40, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, err := range follower.All(shortly(t)) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
	}
	if seen != 2 {
		t.Errorf("a follower to 40 saw %d records of 2", seen)
	}
	if err := follower.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReaderRefusesWhatMakesNoSense(t *testing.T) {
	l := openLogTest(t, openTest(t, t.TempDir()), LogOptions{})
	appendMany(t, l, 1, 3)
	for _, opts := range []ReadOptions{
		{FromSeq: 1, FromTime: 1}, {FromTime: 1, FromRecordID: 1}, {FromSeq: 1, FromRecordID: 1},
		{Level: Cold}, {Subjects: []string{"a", ""}},
	} {
		if _, err := l.NewReader(opts); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%+v: %v, want ErrInvalidOptions", opts, err)
		}
	}
}

// A record that is written and not synced is for readers of the written level
// alone.
func TestReaderStopsAtTheWatermarkOfItsLevel(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 5)
	commitManual(t, l)
	appendNumbered(t, l, 6, 4)
	wantRecords(t, readAll(t, l, ReadOptions{Level: Written}), 1, 5)
	l.committer.step()
	if marks := l.Watermarks(); marks.Written != 9 || marks.Durable != 5 {
		t.Fatalf("watermarks %+v", marks)
	}
	wantRecords(t, readAll(t, l, ReadOptions{Level: Written}), 1, 9)
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 5)
	wantRecords(t, readAll(t, l, ReadOptions{FromSeq: 6}), 6, 0)
	commitManual(t, l)
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 9)
	disk.ProcessCrash()
}

// next asks a reader in the background.
func next(ctx context.Context, r *Reader) <-chan error {
	return inBackground(func() error {
		_, err := r.Next(ctx)
		return err
	})
}

func TestFollowerIsWokenByItsWatermarkAndNoEarlier(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	followers := map[Level]*Reader{}
	waiting := map[Level]<-chan error{}
	for _, level := range []Level{Written, Durable} {
		r, err := l.NewReader(ReadOptions{Follow: true, Level: level})
		if err != nil {
			t.Fatal(err)
		}
		followers[level], waiting[level] = r, next(shortly(t), r)
	}
	appendNumbered(t, l, 1, 1)
	l.committer.step() // stalls: the first segment is not ready
	for l.keeper.step() {
	}
	l.committer.step()
	if err := ends(t, "a follower of what is written", waiting[Written]); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-waiting[Durable]:
		t.Fatalf("a follower of what is durable got a record that is not: %v", err)
	default:
	}
	commitManual(t, l)
	if err := ends(t, "a follower of what is durable", waiting[Durable]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	for level, r := range followers {
		waiting[level] = next(ctx, r)
	}
	cancel()
	for level, r := range followers {
		if err := ends(t, "a cancelled wait", waiting[level]); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's error", level, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	disk.ProcessCrash()
}

func TestBorrowedMemoryIsTheMapAndACloneIsNot(t *testing.T) {
	l := openLogTest(t, openTest(t, t.TempDir()), LogOptions{})
	headers, err := EncodeHeaders(map[string][]string{"K": {"v"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendSync(t.Context(), &Record{Subject: []byte("s"), Headers: headers, Payload: []byte("payload")}); err != nil {
		t.Fatal(err)
	}
	r, err := l.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	clone := rec.Clone()
	at := r.RecordID().Offset() + segment.RecordHeaderBytes
	if &rec.Subject[0] != &r.bytes[at] {
		t.Error("the record was copied out of the map")
	}
	if cap(rec.Subject) != 1 || cap(rec.Headers) != len(headers) {
		t.Error("an append to a borrowed slice would write into what follows")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wantClone := Record{Seq: 1, Timestamp: rec.Timestamp, Subject: []byte("s"), Headers: headers, Payload: []byte("payload")}
	if fmt.Sprint(clone) != fmt.Sprint(wantClone) || !bytes.Equal(clone.Payload, wantClone.Payload) {
		t.Errorf("the clone became %+v", clone)
	}
	if value, ok := clone.Header("K"); !ok || value != "v" {
		t.Errorf("header %q %v", value, ok)
	}
}

func TestReadingTakesNoMemoryForEachRecord(t *testing.T) {
	l := openLogTest(t, openTest(t, t.TempDir()), LogOptions{})
	const count = 2000
	appendNumbered(t, l, 1, count)
	if err := l.Wait(t.Context(), count, Durable); err != nil {
		t.Fatal(err)
	}
	r, err := l.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	allocations := testing.AllocsPerRun(count-2, func() {
		if _, err := r.Next(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations a record", allocations)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadersOfAClosedLogEnd(t *testing.T) {
	e := openTest(t, t.TempDir())
	l := openLogTest(t, e, LogOptions{})
	appendMany(t, l, 1, 10)
	follower, err := l.NewReader(ReadOptions{FromSeq: 11, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	written, err := l.NewReader(ReadOptions{FromSeq: 11, Follow: true, Level: Written})
	if err != nil {
		t.Fatal(err)
	}
	walker, err := l.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	borrowed, err := walker.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting := []<-chan error{next(shortly(t), follower), next(shortly(t), written)}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, result := range waiting {
		if err := ends(t, "a follower", result); !errors.Is(err, ErrClosed) {
			t.Errorf("a follower ended with %v, want ErrClosed", err)
		}
	}
	if !bytes.Equal(borrowed.Payload, payloadOf(1)) {
		t.Error("closing the log took a borrowed record away")
	}
	if _, err := l.NewReader(ReadOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a new reader of a closed log: %v, want ErrClosed", err)
	}
	for _, r := range []*Reader{follower, written, walker} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
		if _, err := r.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed reader gave %v", err)
		}
	}
}

func TestIteratorYieldsAnErrorLastAndStopsWhenAsked(t *testing.T) {
	l := openLogTest(t, openTest(t, t.TempDir()), LogOptions{})
	appendMany(t, l, 1, 10)
	r, err := l.NewReader(ReadOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range r.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Seq == 4 {
			break
		}
	}
	if rec, err := r.Next(t.Context()); err != nil || rec.Seq != 5 {
		t.Fatalf("behind the break: %d, %v", rec.Seq, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	steps := 0
	for rec, err := range r.All(ctx) {
		steps++
		if last = err; rec.Seq == 10 {
			cancel()
		}
	}
	cancel()
	if steps != 6 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d steps, last %v", steps, last)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// Readers of all kinds run beside writers while segments roll over and seal.
func TestReadersSeeADensePrefixWhileSegmentsRollAndSeal(t *testing.T) {
	disk := vfs.OS()
	e := openOnDisk(t, t.TempDir(), Options{FS: disk})
	l := openLogTest(t, e, LogOptions{SegmentBytesMin: segmentBytesFloor, SegmentBytesMax: 128 << 10})
	const writers, each = 4, 400
	const total = writers * each
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() { writeShare(t, l, w, each) })
	}
	for _, opts := range []ReadOptions{
		{Follow: true, ToSeq: total}, {Follow: true, ToSeq: total, Level: Written}, {Follow: true, ToSeq: total, FromTime: 1}, {},
	} {
		group.Go(func() { readDense(t, l, opts) })
	}
	group.Go(func() {
		for l.Watermarks().Durable < total && !t.Failed() {
			if err := l.Seal(t.Context()); err != nil {
				t.Errorf("seal: %v", err)
				return
			}
			if err := l.awaitAdvance(t.Context(), Durable, min(total-1, l.Watermarks().Durable+200)); err != nil {
				t.Errorf("wait: %v", err)
				return
			}
		}
	})
	group.Wait()
	readDense(t, l, ReadOptions{ToSeq: total})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, maps := vfs.OpenHandles(disk); maps != 0 {
		t.Errorf("%d maps are open", maps)
	}
}

func writeShare(t *testing.T, l *Log, writer, count int) {
	for i := range count {
		rec := Record{Subject: []byte("w"), ExtID: uint64(writer)<<32 | uint64(i), Payload: make([]byte, 50+(writer*31+i*7)%400)}
		if _, err := l.AppendSync(t.Context(), &rec); err != nil {
			t.Errorf("writer %d: %v", writer, err)
			return
		}
	}
}

// readDense reads to the end and checks that sequences are dense and that each
// writer's records come in the order that it wrote them.
func readDense(t *testing.T, l *Log, opts ReadOptions) {
	r, err := l.NewReader(opts)
	if err != nil {
		t.Errorf("new reader: %v", err)
		return
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Errorf("close reader: %v", err)
		}
	}()
	var seq uint64
	next := map[uint64]uint64{}
	for {
		rec, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%+v: behind %d: %v", opts, seq, err)
			return
		}
		if seq++; rec.Seq != seq {
			t.Errorf("%+v: sequence %d behind %d", opts, rec.Seq, seq-1)
			return
		}
		writer, number := rec.ExtID>>32, rec.ExtID&(1<<32-1)
		if number != next[writer] {
			t.Errorf("%+v: writer %d: record %d, want %d", opts, writer, number, next[writer])
			return
		}
		next[writer]++
	}
	if opts.ToSeq != 0 && seq != opts.ToSeq {
		t.Errorf("%+v: ended at %d", opts, seq)
	}
}
