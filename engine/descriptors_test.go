package engine

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A process that has no file descriptor left has written nothing: publishers are
// refused as on a full disk, and it goes on by itself.
func TestNoDescriptorForTheNextSegmentRefusesAppendsUntilThereIsOne(t *testing.T) {
	for _, full := range []error{syscall.EMFILE, syscall.ENFILE} {
		mem, events := vfs.NewMem(1), &eventLog{}
		disk := vfs.NewFaulty(mem)
		e := openOnDisk(t, simRoot, Options{FS: disk, OnEvent: events.note})
		l := openLogTest(t, e, smallSegments())
		if _, err := l.AppendSync(t.Context(), &Record{Payload: make([]byte, 400)}); err != nil {
			t.Fatal(err)
		}
		disk.Add(vfs.Rule{Op: vfs.OpCreate | vfs.OpOpen, Err: full})
		refused := fillUp(t, l)
		if refused.Kind != Admission || !errors.Is(refused, full) {
			t.Fatalf("refused with %v because of %v", refused, refused.Cause)
		}
		accepted := l.Watermarks().Appended
		disk.Clear()
		if last := goesOn(t, l, 400); last != accepted+1 {
			t.Errorf("sequence %d behind %d", last, accepted)
		}
		wantPressureEvents(t, l, events, Admission)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		mem.PowerCut()
		l = openLogTest(t, openOnDisk(t, simRoot, Options{FS: mem}), smallSegments())
		if records := readAll(t, l, ReadOptions{}); uint64(len(records)) != accepted+1 {
			t.Errorf("%d of %d records are there after a power cut", len(records), accepted+1)
		}
	}
}

// Wherever a file is opened, not getting a descriptor for it costs nothing but time.
func TestWantOfADescriptorAnywhereIsNoFailure(t *testing.T) {
	for position := range 48 {
		t.Run(fmt.Sprint(position), func(t *testing.T) {
			t.Parallel()
			disk := vfs.NewFaulty(vfs.NewMem(1))
			r := &tieredRoot{dir: simRoot, events: &eventLog{}, logs: smallSegments()}
			r.opts = Options{FS: disk, Bucket: "file:///bucket", BucketFS: vfs.NewMem(2), OnEvent: r.events.note}
			e, err := Open(r.dir, r.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}()
			l, err := e.OpenLog("orders", r.logs)
			if err != nil {
				t.Fatal(err)
			}
			r.engine, r.log = e, l
			disk.Add(vfs.Rule{Op: vfs.OpCreate | vfs.OpOpen | vfs.OpSyncDir, Err: syscall.EMFILE, After: position, Times: 1})
			for n := 1; n <= 120; n++ {
				rec := tieredRecord(n)
				eventually(t, "the record is taken", func() bool {
					_, err := l.Append(&rec)
					if err != nil && !errors.Is(err, ErrBackpressure) {
						t.Fatal(err)
					}
					return err == nil
				})
				if n%40 == 0 {
					r.seal(t)
				}
			}
			if err := l.Wait(shortly(t), 120, Cold); err != nil {
				t.Fatal(err)
			}
			l.journal.writing.Lock()
			l.journal.writing.snapshotAt = l.journal.writing.snapshotAt.Add(-2 * snapshotInterval)
			l.journal.writing.Unlock()
			if err := l.journal.snapshotIfDue(); err != nil {
				t.Error(err)
			}
			if l.failed() {
				t.Fatal(l.endError())
			}
			disk.Clear()
			wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, 120)
		})
	}
}
