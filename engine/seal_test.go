package engine

import (
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A footer proves that the records before it are durable.
func TestASegmentIsNotSealedBeforeItsRecordsAreDurable(t *testing.T) {
	l := openManual(t, vfs.NewMem(1), smallSegments())
	appendNumbered(t, l, 1, 1)
	commitManual(t, l)
	appendNumbered(t, l, 2, 3)
	l.Request(4, Written)
	for l.written.Load() < 4 {
		l.committer.step()
	}
	if marks := l.Watermarks(); marks.Written != 4 || marks.Durable != 1 {
		t.Fatalf("written up to %d, durable up to %d", marks.Written, marks.Durable)
	}
	l.retireTail()
	if s := l.sealable(); s != nil {
		t.Errorf("segment %d would be sealed", s.id())
	}
	commitManual(t, l)
	if s := (*l.segments.Load())[0]; !s.ended() {
		t.Error("the segment is not sealed although its records are durable")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// An owner whose mark does not fit into the segment that it goes on with ends it: it
// is sealed then, and not only when somebody appends.
func TestASegmentThatHasNoRoomForItsNewOwnerIsSealedAtOnce(t *testing.T) {
	dir := t.TempDir()
	e := openOnDisk(t, dir, Options{})
	l := openLogTest(t, e, LogOptions{})
	appendMany(t, l, 1, 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openOnDisk(t, dir, Options{})
	l = openLogTest(t, e, LogOptions{})
	if !l.hasTail() {
		t.Fatal("it is not continued")
	}
	l.mu.Lock()
	tail := l.mu.tail
	tail.tail.capacity = tail.tail.end + segment.ReserveBytes(tail.tail.end) // as if it were full
	l.mu.Unlock()
	if _, err := l.takeEpoch(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is sealed", tail.ended)
}
