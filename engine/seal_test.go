package engine

import (
	"testing"

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
