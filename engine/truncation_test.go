package engine

import (
	"errors"
	"os"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Here files of an open log become shorter on the operating system, where a
// read through a map that passes the end faults.

// readThrough reads all that a reader gives, and what it calls damaged.
func readThrough(t *testing.T, r *Reader, to uint64) (read map[uint64]bool, damaged map[uint64]bool) {
	t.Helper()
	read, damaged = map[uint64]bool{}, map[uint64]bool{}
	r.opts.SkipDamaged = func(d *DamageError) {
		for seq := d.FirstSeq; seq <= d.LastSeq; seq++ {
			damaged[seq] = true
		}
	}
	for r.want <= to {
		rec, err := inTime(t, r)
		if err != nil {
			t.Fatalf("behind %d: %v", r.want, err)
		}
		if string(rec.Payload) != string(payloadOf(int(rec.Seq))) {
			t.Fatalf("record %d is %q", rec.Seq, rec.Payload)
		}
		read[rec.Seq] = true
	}
	return read, damaged
}

func newReader(t *testing.T, l *Log, opts ReadOptions) *Reader {
	t.Helper()
	r, err := l.NewReader(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close reader: %v", err)
		}
	})
	return r
}

// wantSplit checks that each sequence was read or called damaged, as it lies in
// front of the cut or behind it.
func wantSplit(t *testing.T, read, damaged map[uint64]bool, from, to, lost, found uint64) {
	t.Helper()
	for seq := from; seq <= to; seq++ {
		gone := lost <= seq && seq < found
		if damaged[seq] != gone || read[seq] == gone {
			t.Fatalf("sequence %d: read %v, damaged %v; %d to %d are gone", seq, read[seq], damaged[seq], lost, found-1)
		}
	}
}

func TestActiveSegmentIsTruncatedUnderItsReaders(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, t.TempDir(), Options{}), LogOptions{SegmentBytesMin: 256 << 10, SegmentBytesMax: 256 << 10})
	const count, cut = 1000, 20_480
	appendNumbered(t, l, 1, count)
	if err := l.Wait(t.Context(), count, Durable); err != nil {
		t.Fatal(err)
	}
	var lost uint64
	for i, id := range placesOf(t, l) {
		if lost == 0 && id.Offset()+int64(segment.RecordBytes(8, 0, len(payloadOf(i+1)))) > cut {
			lost = uint64(i + 1)
		}
	}
	begun := newReader(t, l, ReadOptions{Follow: true})
	for range 10 {
		if _, err := begun.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stopping := newReader(t, l, ReadOptions{FromSeq: lost})
	if err := os.Truncate(l.State().Segments[0].Path, cut); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	if _, err := inTime(t, stopping); !errors.As(err, &damage) || damage.FirstSeq != lost || damage.LastSeq != count {
		t.Errorf("a reader in front of the cut is told %v", err)
	}
	// The next records are written where the writer stands, behind a hole.
	appendMany(t, l, count+1, 20)
	read, damaged := readThrough(t, begun, count+20)
	wantSplit(t, read, damaged, 11, count+20, lost, count+1)
	appendMany(t, l, count+21, 20)
	read, damaged = readThrough(t, begun, count+40)
	wantSplit(t, read, damaged, count+21, count+40, 0, 0)
	late := newReader(t, l, ReadOptions{})
	read, damaged = readThrough(t, late, count+40)
	wantSplit(t, read, damaged, 1, count+40, lost, count+1)
}

// Nothing looks at the length of a file at each sync: what is written behind a cut
// leaves a hole. The seal reads it all once more and tells of it.
func TestASealFindsThatItsSegmentWasTruncated(t *testing.T) {
	var events eventLog
	l := openLogTest(t, openOnDisk(t, t.TempDir(), Options{OnEvent: events.note}), LogOptions{SegmentBytesMin: 256 << 10, SegmentBytesMax: 256 << 10})
	const count, cut = 1000, 20_480
	appendMany(t, l, 1, count)
	if err := os.Truncate(l.State().Segments[0].Path, cut); err != nil {
		t.Fatal(err)
	}
	appendMany(t, l, count+1, 20)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := l.segmentByID(1).seal.Load().Count; got >= count {
		t.Errorf("the footer counts %d records", got)
	}
	eventually(t, "it is told", func() bool {
		for _, e := range events.of(EventSegmentSuspected) {
			var damage *DamageError
			if errors.As(e.Err, &damage) && damage.LastSeq == count && damage.FirstSeq > 1 {
				return true
			}
		}
		return false
	})
	read, damaged := readThrough(t, newReader(t, l, ReadOptions{}), count+20)
	lost := uint64(1)
	for !damaged[lost] && lost < count {
		lost++
	}
	wantSplit(t, read, damaged, 1, count+20, lost, count+1)
}

func TestSealedSegmentIsTruncatedUnderItsReaders(t *testing.T) {
	dir := t.TempDir()
	e := openOnDisk(t, dir, Options{})
	l := openLogTest(t, e, LogOptions{SegmentBytesMin: 256 << 10, SegmentBytesMax: 256 << 10})
	const each, segments = 600, 3
	for s := range segments {
		appendNumbered(t, l, s*each+1, each)
		if err := l.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const cut = 8192
	var lost uint64
	for i, id := range placesOf(t, l) {
		if lost == 0 && id.Segment() == 2 && id.Offset()+int64(segment.RecordBytes(8, 0, len(payloadOf(i+1)))) > cut {
			lost = uint64(i + 1)
		}
	}
	begun := newReader(t, l, ReadOptions{FromSeq: each + 1})
	if _, err := begun.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(l.State().Segments[1].Path, cut); err != nil {
		t.Fatal(err)
	}
	check := func(l *Log) {
		t.Helper()
		read, damaged := readThrough(t, newReader(t, l, ReadOptions{}), segments*each)
		wantSplit(t, read, damaged, 1, segments*each, lost, 2*each+1)
		read, damaged = readThrough(t, newReader(t, l, ReadOptions{FromSeq: lost + 50}), segments*each)
		wantSplit(t, read, damaged, lost+50, segments*each, lost, 2*each+1)
	}
	read, damaged := readThrough(t, begun, segments*each)
	wantSplit(t, read, damaged, each+2, segments*each, lost, 2*each+1)
	check(l)
	if _, err := l.AppendIf(numbered(1), Conditions{ExpectLastSubjectSeq: true, LastSubjectFilter: []byte("no.such.subject"), LastSubjectSeq: 7}); !errors.Is(err, ErrConflict) && !errors.Is(err, vfs.ErrFault) {
		t.Errorf("an expectation over the truncated segment: %v", err)
	}
}
