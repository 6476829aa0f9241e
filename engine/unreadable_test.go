package engine

import (
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Of a sealed segment the manifest says what its header and its footer do: where the
// disk does not give them, the log opens all the same, and other segments are read.
func TestALogOpensWhoseSealedSegmentCannotBeRead(t *testing.T) {
	disk := vfs.NewFaulty(vfs.OS())
	r := newTieredRoot(t).stepped()
	r.opts.Bucket, r.opts.FS = "", disk
	r.open(t)
	r.fill(t, 3, 30)
	name := filepath.Base(r.log.segmentByID(2).path)
	r.close(t)
	unreadable := disk.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: name, Err: errIO})
	r.open(t)
	if unreadable.Applied() == 0 {
		t.Fatal("nobody looked at the segment")
	}
	wantTiered(t, readAll(t, r.log, ReadOptions{ToSeq: 30}), 1, 1, 30)
	wantTiered(t, readAll(t, r.log, ReadOptions{FromSeq: 61}), 61, 1, 30)
	r.fill(t, 1, 30)
	r.close(t)
	readOnly, err := openReadOnly(r.dir, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	wantTiered(t, readAll(t, openLogTest(t, readOnly, LogOptions{}), ReadOptions{FromSeq: 61}), 61, 1, 60)
	if err := readOnly.Close(); err != nil {
		t.Fatal(err)
	}
}

// Of one that is not sealed only its bytes tell what was acknowledged: where they
// cannot be had, nothing is concluded, and nothing changed.
func TestALogWhoseLastSegmentCannotBeReadStaysAsItIs(t *testing.T) {
	disk := vfs.NewFaulty(vfs.OS())
	r := newTieredRoot(t).stepped()
	r.opts.Bucket, r.opts.FS = "", disk
	r.open(t)
	r.fill(t, 1, 30)
	appendUnsealed(t, r, 10)
	name := filepath.Base(r.log.segmentByID(2).path)
	r.close(t)
	before := hashTree(t, filepath.Join(r.dir, logsDirName, "orders", segmentsDirName))
	disk.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: name, Err: errIO})
	e := openOnDisk(t, r.dir, r.opts)
	if _, err := e.OpenLog("orders", r.logs); err == nil {
		t.Error("it opens")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if hashTree(t, filepath.Join(r.dir, logsDirName, "orders", segmentsDirName)) != before {
		t.Error("the segments were changed")
	}
	disk.Clear()
	r.open(t)
	wantTiered(t, readAll(t, r.log, ReadOptions{}), 1, 1, 40)
}
