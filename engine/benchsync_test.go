package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// timedDisk measures the syncs of segment files, from the moment they have
// their final name: those that a commit waits for.
type timedDisk struct {
	vfs.FS
	mu struct {
		sync.Mutex
		made map[string]*timedFile // by the name that a file was created with
	}
	nanoseconds, count atomic.Int64
}

func newTimedDisk() *timedDisk {
	d := &timedDisk{FS: vfs.OS()}
	d.mu.made = make(map[string]*timedFile)
	return d
}

type timedFile struct {
	vfs.File
	disk  *timedDisk
	timed atomic.Bool
}

func (d *timedDisk) Create(name string) (vfs.File, error) {
	file, err := d.FS.Create(name)
	if err != nil {
		return nil, err
	}
	timed := &timedFile{File: file, disk: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.made[name] = timed
	return timed, nil
}

func (d *timedDisk) Rename(oldName, newName string) error {
	err := d.FS.Rename(oldName, newName)
	d.mu.Lock()
	defer d.mu.Unlock()
	if file := d.mu.made[oldName]; file != nil && err == nil {
		file.timed.Store(true)
	}
	return err
}

func (f *timedFile) SyncData() error {
	began := time.Now()
	err := f.File.SyncData()
	if f.timed.Load() {
		f.disk.nanoseconds.Add(time.Since(began).Nanoseconds())
		f.disk.count.Add(1)
	}
	return err
}

func (d *timedDisk) reset() {
	d.nanoseconds.Store(0)
	d.count.Store(0)
}

// mean is the mean time of a sync since reset.
func (d *timedDisk) mean() time.Duration {
	return time.Duration(d.nanoseconds.Load() / max(1, d.count.Load()))
}
