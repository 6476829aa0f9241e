package engine

import (
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Beside a writer whose sync hangs, a read-only open finds the bytes of what was
// written in the page cache, and shows only what was durable before it.
func TestReadOnlyOpenBesideAWriterShowsNothingThatIsNotSynced(t *testing.T) {
	dir, disk := t.TempDir(), vfs.NewFaulty(vfs.OS())
	held := newGate(disk)
	l := openLogTest(t, openOnDisk(t, dir, Options{FS: disk}), smallSegments())
	appendMany(t, l, 1, 5)
	slow := disk.Add(vfs.Rule{Op: vfs.OpSyncData, PathPattern: "segments/*", Delay: time.Second})
	appendNumbered(t, l, 6, 4)
	if err := l.Wait(shortly(t), 9, Written); err != nil {
		t.Fatal(err)
	}
	durable := inBackground(func() error { return l.Wait(shortly(t), 9, Durable) })
	ends(t, "a sync that hangs", held.arrived)

	e, err := openReadOnly(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	shown := openLogTest(t, e, LogOptions{})
	marks, records := shown.Watermarks(), readAll(t, shown, ReadOptions{})
	slow.Remove()
	held.open() // before anything is judged: a writer that hangs cannot be closed
	if marks.Durable != 5 {
		t.Errorf("a read-only open has watermarks %+v", marks)
	}
	wantRecords(t, records, 1, 5)
	if err := ends(t, "the wait for the sync", durable); err != nil {
		t.Fatal(err)
	}
	appendMany(t, l, 10, 1) // proves those before it
	if err := e.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, readAll(t, shown, ReadOptions{}), 1, 9)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// What a read-only open has shown is there after the power is lost.
func TestWhatAReadOnlyOpenShowedSurvivesAPowerCut(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 5)
	commitManual(t, l)
	appendNumbered(t, l, 6, 4)
	l.committer.step()
	e, err := openReadOnly(simRoot, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	records := readAll(t, openLogTest(t, e, LogOptions{}), ReadOptions{})
	wantRecords(t, records, 1, 5)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	disk.PowerCut()
	l = openManual(t, disk, smallSegments())
	wantRecords(t, readAll(t, l, ReadOptions{ToSeq: 5}), 1, len(records))
	disk.ProcessCrash()
}
