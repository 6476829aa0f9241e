package engine

import (
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Whatever a log failed at, it gives back what it took of the hot budget, which
// other logs share, when it is closed.
func TestAPoisonedLogGivesItsBytesBack(t *testing.T) {
	for _, failure := range append(failures[:len(failures):len(failures)],
		struct {
			name string
			rule vfs.Rule
		}{"sync of a manifest record", vfs.Rule{Op: vfs.OpSyncData, PathPattern: "manifest/*", After: 3, Times: 1, Err: errIO}},
	) {
		t.Run(failure.name, func(t *testing.T) {
			disk := vfs.NewFaulty(vfs.NewMem(1))
			e := openOnDisk(t, simRoot, Options{FS: disk})
			disk.Add(failure.rule)
			l := openLogTest(t, e, smallSegments())
			appendUntilPoisoned(t, l)
			if err := ends(t, "Close", inBackground(l.Close)); err == nil {
				t.Error("Close tells of no failure")
			}
			if used := e.Stats().Hot.UsedBytes; used != 0 {
				t.Errorf("%d bytes of the hot budget are still taken", used)
			}
		})
	}
}
