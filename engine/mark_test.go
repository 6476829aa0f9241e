package engine

import (
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A record that is appended while a mark is on its way, and that needs a segment
// that is not ready, waits for it as any other does: the mark does not fail.
func TestAnAppendBesideAMarkWaitsForItsSegment(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	if _, err := l.Append(&Record{Payload: make([]byte, 4<<10)}); err != nil {
		t.Fatal(err)
	}
	commitManual(t, l)
	c := &l.committer
	if !c.takeMark(segment.DurableMark) {
		t.Fatal("no mark is written")
	}
	if _, err := l.Append(&Record{Payload: make([]byte, segmentBytesFloor-4<<10)}); err != nil {
		t.Fatal(err)
	}
	if c.pending == nil {
		t.Fatal("a record can still come between the mark and its way to the disk")
	}
	if err := c.write(); err != nil {
		t.Fatalf("the mark is not written: %v", err)
	}
	if err := c.syncAfterTurn(); err != nil {
		t.Fatal(err)
	}
	if records := readAll(t, l, ReadOptions{}); len(records) != 1 {
		t.Errorf("%d records are durable", len(records))
	}
	commitManual(t, l)
	if records := readAll(t, l, ReadOptions{}); len(records) != 2 {
		t.Errorf("%d records are durable in the end", len(records))
	}
	disk.ProcessCrash()
}
