package engine

import (
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// An old snapshot that the disk does not give back keeps nothing from being
// appended: it is read only to find out what may be removed.
func TestAnOldSnapshotThatCannotBeReadPoisonsNothing(t *testing.T) {
	memory, clock := vfs.NewMem(1), time.Unix(1_000_000, 0)
	disk := vfs.NewFaulty(memory)
	l, err := openManualAt(disk, smallSegments(), func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	unreadable := disk.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: "snapshot_*2.bin", Err: errIO})
	for n := 1; n <= 4; n++ {
		appendNumbered(t, l, 10*(n-1)+1, 10)
		commitManual(t, l)
		l.retireTail()
		clock = clock.Add(snapshotInterval)
		commitManual(t, l)
	}
	if unreadable.Applied() == 0 {
		t.Fatal("nobody read the snapshot")
	}
	appendNumbered(t, l, 41, 10)
	commitManual(t, l)
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 50)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
