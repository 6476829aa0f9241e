package engine

import (
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A reader of what is only written sees an atomic batch whole or not at all, also
// where the disk fails in the middle of it.
func TestABatchWhoseWriteFailsIsShownToNobody(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem(1))
	l := openManual(t, disk, LogOptions{})
	appendNumbered(t, l, 1, 1)
	commitManual(t, l)
	batch := make([]Record, 6)
	for i := range batch {
		batch[i].Payload = make([]byte, 100_000) // several blocks of the commit buffer
	}
	if _, err := l.AppendBatch(batch, BatchOptions{Atomic: true}); err != nil {
		t.Fatal(err)
	}
	failing := disk.Add(vfs.Rule{Op: vfs.OpWrite, PathPattern: successorFileName, After: 1, Err: errIO})
	for l.committer.step() {
	}
	if !l.failed() || failing.Applied() == 0 {
		t.Fatal("no write of the batch failed")
	}
	wantRecords(t, readAll(t, l, ReadOptions{Level: Written}), 1, 1)
	disk.Clear()
	if err := l.Close(); err == nil {
		t.Error("Close tells of no failure")
	}
}
