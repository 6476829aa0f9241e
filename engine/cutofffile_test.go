package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Here something makes the file of a segment shorter that is not sealed. Its header
// says how long it was: what is missing is damage, whatever is left of it.

// unfinished is a log whose owner was killed, and what it acknowledged.
type unfinished struct {
	disk    *vfs.Mem
	path    string // of its only segment
	bytes   int64  // of that file
	records map[uint64]Record
	last    uint64 // that was given out, or may have been
	placed  []placedRecord
}

// killUnfinished makes one: many batches, each synced, some of them atomic, and
// records that hold whole sectors of zeros of their own.
func killUnfinished(t *testing.T) *unfinished {
	t.Helper()
	u := &unfinished{disk: vfs.NewMem(1), records: make(map[uint64]Record)}
	l := openManual(t, u.disk, smallSegments())
	u.append(t, l, 1, 3)
	for u.last < 60 {
		u.append(t, l, 4, 1)
		u.appendBatch(t, l, Record{Payload: make([]byte, 1600)})
		u.appendBatch(t, l, numberedBatch(6, 3)...)
	}
	u.disk.PowerCut()
	u.path = segmentFiles(t, u.disk, simRoot)[0]
	u.bytes = int64(len(u.disk.Durable(u.path)))
	u.placed = recordsOnMemory(t, u.disk, u.path)
	return u
}

func (u *unfinished) append(t *testing.T, l *Log, first, count int) {
	t.Helper()
	for n := first; n < first+count; n++ {
		u.appendBatch(t, l, *numbered(n))
	}
}

// appendBatch appends records atomically and notes them once they are durable.
func (u *unfinished) appendBatch(t *testing.T, l *Log, recs ...Record) {
	t.Helper()
	first, err := l.AppendBatch(recs, BatchOptions{Atomic: true})
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if first != u.last+1 {
		t.Fatalf("sequence %d was given out behind %d", first, u.last)
	}
	commitManual(t, l)
	for i := range recs {
		u.last++
		u.records[u.last] = recs[i].Clone()
	}
}

// wantAccounted checks that each record that was acknowledged is read, if it lies
// in front of the cut or was appended behind the damage, and else is called
// damaged; and that nothing else is read.
func (u *unfinished) wantAccounted(t *testing.T, l *Log, length int64) {
	t.Helper()
	var damage []*DamageError
	found := readAll(t, l, ReadOptions{SkipDamaged: func(d *DamageError) { damage = append(damage, d) }})
	for _, d := range damage {
		if !errors.Is(d, ErrDamaged) || d.Segment != 1 {
			t.Errorf("damage that says little: %+v", d)
		}
	}
	isDamaged := func(seq uint64) bool {
		return slices.ContainsFunc(damage, func(d *DamageError) bool { return d.FirstSeq <= seq && seq <= d.LastSeq })
	}
	read := make(map[uint64]bool)
	for _, rec := range found {
		want, acked := u.records[rec.Seq]
		if !acked || read[rec.Seq] || isDamaged(rec.Seq) || !bytes.Equal(rec.Payload, want.Payload) {
			t.Fatalf("%d bytes: %d is read as %q, acknowledged %v, read before %v", length, rec.Seq, rec.Payload, acked, read[rec.Seq])
		}
		read[rec.Seq] = true
	}
	for seq := range u.records {
		inFront := length >= segment.HeaderBytes && seq <= uint64(len(u.placed)) && u.placed[seq-1].end <= length
		if whole := inFront || seq > uint64(len(u.placed)); read[seq] != whole || isDamaged(seq) == whole {
			t.Fatalf("%d bytes: %d was acknowledged; whole %v, read %v, damaged %v", length, seq, whole, read[seq], isDamaged(seq))
		}
	}
}

// A log that was killed, cut off at any length: every acknowledged record is read
// or answers with the damage, also without the right to write and by a check;
// appends go on above all numbers that were ever given out, and stay.
func TestAnUnfinishedSegmentThatWasCutOffAtAnyLength(t *testing.T) {
	step := int64(509) // nearly a sector: each remainder of 8 comes up
	for length := int64(0); length < killedBytes(t); length += step {
		u := killUnfinished(t)
		truncateOnMemory(t, u.disk, u.path, length)
		checked := u.wantChecked(t, length)
		shown := u.wantShown(t, length)
		l := openManual(t, u.disk, smallSegments())
		last := l.Watermarks().Durable
		if last < u.last || last != checked || last != shown {
			t.Fatalf("%d bytes: last %d of %d, a check says %d, a reader %d", length, last, u.last, checked, shown)
		}
		if len(l.State().Recovery.Damaged) != 1 {
			t.Errorf("%d bytes: the report says %v", length, l.State().Recovery.Damaged)
		}
		u.wantAccounted(t, l, length)
		u.last = last
		u.append(t, l, 1, 3)
		u.wantAccounted(t, l, length)
		u.disk.PowerCut()
		l = openManual(t, u.disk, smallSegments())
		if again := l.Watermarks().Durable; again != last+3 {
			t.Fatalf("%d bytes: last %d, then %d", length, last+3, again)
		}
		u.wantAccounted(t, l, length)
		u.disk.ProcessCrash()
	}
}

func killedBytes(t *testing.T) int64 {
	t.Helper()
	return killUnfinished(t).bytes
}

// wantChecked checks that a check reports the file, and returns the last sequence
// that it says the log has.
func (u *unfinished) wantChecked(t *testing.T, length int64) uint64 {
	t.Helper()
	found := checkPlace(t, simRoot, CheckOptions{FS: u.disk}).Logs[0]
	lost := 0
	for _, f := range found.Damage {
		if f.costsRecords() && f.Cost == CostLost && f.LastSeq == found.LastSeq {
			lost++
		}
	}
	if lost != 1 {
		t.Fatalf("%d bytes: the check finds %v, notes %v", length, found.Damage, found.Notes)
	}
	return found.LastSeq
}

// wantShown checks what a reader without the right to write gets, and returns its
// last sequence.
func (u *unfinished) wantShown(t *testing.T, length int64) uint64 {
	t.Helper()
	e, err := openReadOnly(simRoot, Options{FS: u.disk})
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	u.wantAccounted(t, l, length)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Watermarks().Durable
}

// A crash while a segment that was cut off is sealed costs no number twice.
func TestACrashWhileASegmentThatWasCutOffIsSealed(t *testing.T) {
	for _, length := range []int64{segment.HeaderBytes, 5000, 20_011} {
		for crashAt := 1; ; crashAt++ {
			u := killUnfinished(t)
			truncateOnMemory(t, u.disk, u.path, length)
			crashed := crashesOpening(u.disk, crashAt)
			u.disk.PowerCut()
			l := openManual(t, u.disk, smallSegments())
			if last := l.Watermarks().Durable; last < u.last {
				t.Fatalf("%d bytes, crash at %d: %d of %d", length, crashAt, last, u.last)
			}
			u.wantAccounted(t, l, length)
			u.disk.ProcessCrash()
			if !crashed {
				break
			}
		}
	}
}

// What was appended behind a clean close is not bounded by it, what was not is.
func TestAClosedSegmentThatWasCutOffBehindItsMark(t *testing.T) {
	for _, more := range []int{0, 10} {
		disk := closedOnMemory(t)
		path := segmentFiles(t, disk, simRoot)[0]
		end := behindClose(disk, path)
		if more > 0 {
			l := openManual(t, disk, smallSegments())
			appendNumbered(t, l, 41, more)
			commitManual(t, l)
			disk.PowerCut()
		}
		truncateOnMemory(t, disk, path, end)
		var last uint64
		for round := range 3 {
			l := openManual(t, disk, smallSegments())
			now := l.Watermarks().Durable
			switch {
			case more == 0 && now != 40+uint64(round), now < 40+uint64(more), round > 0 && now != last+1:
				t.Fatalf("%d records behind the close, round %d: %d durable, %d before", more, round, now, last)
			case round == 0 && more > 0 != (len(l.State().Recovery.Damaged) > 0):
				t.Fatalf("%d records behind the close: %+v", more, l.State().Recovery)
			}
			wantRecords(t, readAll(t, l, ReadOptions{ToSeq: 40}), 1, 40)
			if seq, err := l.Append(numbered(1)); err != nil || seq != now+1 {
				t.Fatalf("append behind %d: %d, %v", now, seq, err)
			}
			commitManual(t, l)
			last = now
			disk.PowerCut()
		}
	}
}

// behindClose is where the last record of a segment file ends.
func behindClose(disk *vfs.Mem, path string) int64 {
	contents := disk.Durable(path)
	return int64(len(bytes.TrimRight(contents, "\x00")))&^7 + 8
}

// The header says how long the file is from before it has its name, also of a
// successor that grew while it was being prepared.
func TestAHeaderSaysHowLongItsFileIs(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, LogOptions{SegmentBytesMin: segmentBytesFloor, SegmentBytesMax: 16 * segmentBytesFloor})
	for i, payload := range []int{1, segmentBytesFloor / 2, segmentBytesFloor / 2, 3 * segmentBytesFloor, 1} {
		if _, err := l.Append(&Record{Payload: make([]byte, payload)}); err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
		commitManual(t, l)
		files := segmentFiles(t, disk, simRoot)
		contents := disk.Durable(files[len(files)-1])
		header, err := segment.DecodeHeader(contents)
		if err != nil || header.AllocatedBytes != uint64(len(contents)) {
			t.Errorf("segment %d: %d bytes allocated of %d, %v", len(files), header.AllocatedBytes, len(contents), err)
		}
	}
	if n := len(segmentFiles(t, disk, simRoot)); n < 3 {
		t.Errorf("%d segments", n)
	}
	disk.ProcessCrash()
}

// Of a file that is gone, or ends inside its header, not even that is known: what
// was given out of the longest file is not given out again.
func TestTheOnlySegmentOfALogIsGone(t *testing.T) {
	for _, length := range []int64{-1, 0, 100} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			u := killUnfinished(t)
			if length < 0 {
				if err := u.disk.Remove(u.path); err != nil {
					t.Fatal(err)
				}
			} else {
				truncateOnMemory(t, u.disk, u.path, length)
			}
			checked := u.wantChecked(t, 0)
			shown := checked
			if length >= 0 { // without the file nothing proves that its SegmentOpened was durable
				shown = u.wantShown(t, 0)
			}
			l := openManual(t, u.disk, smallSegments())
			if last := l.Watermarks().Durable; last != segment.SegmentBytesMax/segment.RecordBytesMin || last != checked || last != shown {
				t.Errorf("last %d, a check says %d, a reader %d", last, checked, shown)
			}
			u.wantAccounted(t, l, 0)
			u.disk.ProcessCrash()
		})
	}
}

// The same of a log that was closed, whose records are as short as they can be and
// reach to its marks: not one number can be spared.
func TestACrashWhileAClosedSegmentThatWasCutOffIsSealed(t *testing.T) {
	const count = 15
	for crashAt := 1; ; crashAt++ {
		disk := vfs.NewMem(uint64(crashAt))
		l := openManual(t, disk, smallSegments())
		for range count {
			if _, err := l.Append(&Record{Subject: []byte("s"), Payload: []byte("0123456")}); err != nil {
				t.Fatal(err)
			}
		}
		commitManual(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		disk.PowerCut()
		path := segmentFiles(t, disk, simRoot)[0]
		if end := behindClose(disk, path); end != segment.HeaderBytes+(count+2)*segment.RecordBytesMin {
			t.Fatalf("the marks end at %d", end)
		}
		truncateOnMemory(t, disk, path, segment.HeaderBytes+5*segment.RecordBytesMin)
		crashed := crashesOpening(disk, crashAt)
		disk.ProcessCrash()
		l = openManual(t, disk, smallSegments())
		if last := l.Watermarks().Durable; last < count {
			t.Fatalf("crash at %d: %d of %d", crashAt, last, count)
		}
		disk.ProcessCrash()
		if !crashed {
			return
		}
	}
}
