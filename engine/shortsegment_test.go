package engine

import (
	"fmt"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Here the file of a segment that is not sealed lost its header, or all that is
// behind a few bytes of it.

// killedOnMemory is a log with 40 records that was killed, on a disk in memory.
func killedOnMemory(t *testing.T) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 40)
	commitManual(t, l)
	disk.PowerCut()
	return disk
}

func truncateOnMemory(t *testing.T, disk *vfs.Mem, path string, length int64) {
	t.Helper()
	file, err := disk.OpenReadWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(length); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file that ends inside its header, or just behind it, is no reason not to start.
func TestUnsealedSegmentOfAnyLengthOpens(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *vfs.Mem{"closed": closedOnMemory, "killed": killedOnMemory} {
		for length := range int64(segment.HeaderBytes + 73) {
			t.Run(fmt.Sprintf("%s/%d bytes", name, length), func(t *testing.T) {
				disk := make(t)
				truncateOnMemory(t, disk, segmentFiles(t, disk, simRoot)[0], length)
				for range 2 {
					l := openManual(t, disk, smallSegments())
					last := l.Watermarks().Durable
					if name == "closed" && last < 40 {
						t.Fatalf("%d records of 40", last)
					}
					if seq, err := l.Append(numbered(1)); err != nil || seq != last+1 {
						t.Fatalf("append behind %d: %d, %v", last, seq, err)
					}
					commitManual(t, l)
					disk.PowerCut()
				}
			})
		}
	}
}
