package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// countingDisk counts how many syncs of segment data run at once, and holds each
// until it is let go.
type countingDisk struct {
	vfs.FS
	running, most atomic.Int64
	hold          atomic.Pointer[chan struct{}] // closed: syncs are not held
}

func (d *countingDisk) OpenFiles() int {
	files, _ := vfs.OpenHandles(d.FS)
	return files
}

func (d *countingDisk) OpenMaps() int {
	_, maps := vfs.OpenHandles(d.FS)
	return maps
}

type countedFile struct {
	vfs.File
	disk *countingDisk
}

func (d *countingDisk) Create(name string) (vfs.File, error) {
	file, err := d.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &countedFile{File: file, disk: d}, nil
}

func (f *countedFile) SyncData() error {
	running := f.disk.running.Add(1)
	defer f.disk.running.Add(-1)
	for most := f.disk.most.Load(); running > most && !f.disk.most.CompareAndSwap(most, running); {
		most = f.disk.most.Load()
	}
	<-*f.disk.hold.Load()
	return f.File.SyncData()
}

// TestLogsTakeTurnsToSync: while the turns are taken, records of a log that
// waits for its own gather, and one sync then carries them all.
func TestLogsTakeTurnsToSync(t *testing.T) {
	disk, open := &countingDisk{FS: vfs.NewMem(1)}, make(chan struct{})
	close(open)
	disk.hold.Store(&open)
	e := openOnDisk(t, "root", Options{FS: disk})
	const logs = 4 * syncsAtOnce
	opened := make([]*Log, logs)
	for i := range opened {
		l, err := e.OpenLog(fmt.Sprintf("log-%d", i), smallSegments())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendSync(t.Context(), &Record{Payload: []byte("first")}); err != nil {
			t.Fatal(err)
		}
		opened[i] = l
	}
	disk.most.Store(0)
	held := make(chan struct{})
	disk.hold.Store(&held)
	var writers sync.WaitGroup
	for _, l := range opened {
		for range 3 {
			writers.Go(func() {
				if _, err := l.AppendSync(t.Context(), &Record{Payload: []byte("more")}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience); ; {
		written := 0
		for _, l := range opened {
			if l.Watermarks().Written >= 2 {
				written++
			}
		}
		if written == logs && disk.running.Load() == syncsAtOnce {
			break // what waits for a turn is written all the same
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%d logs have written and %d sync", written, disk.running.Load())
		}
	}
	close(held)
	writers.Wait()
	if most := disk.most.Load(); most != syncsAtOnce {
		t.Errorf("%d syncs ran at once, want %d", most, syncsAtOnce)
	}
	for _, l := range opened {
		if durable := l.Watermarks().Durable; durable != 4 {
			t.Errorf("log %s is durable up to %d, want 4", l.Name(), durable)
		}
	}
}
