package vfs_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// activate is the kind of history that traces are compared for.
func activate(t *testing.T, fsys vfs.FS, root string) {
	t.Helper()
	dir := filepath.Join(root, "segments")
	check(t, fsys.MkdirAll(dir))
	file := create(t, fsys, filepath.Join(dir, "next.tmp"))
	check(t, file.Allocate(4096, vfs.ZeroFilled))
	write(t, file, 0, make([]byte, 128))
	check(t, file.SyncData())
	check(t, fsys.Rename(filepath.Join(dir, "next.tmp"), filepath.Join(dir, "1.seg")))
	check(t, fsys.SyncDir(dir))
	_, err := file.ReadAt(make([]byte, 10), 5)
	check(t, err)
	check(t, file.Truncate(200))
	check(t, file.Sync())
	check(t, file.Close())
	check(t, fsys.Link(filepath.Join(dir, "1.seg"), filepath.Join(root, "2.seg")))
	check(t, fsys.Remove(filepath.Join(dir, "1.seg")))
	if fsys.Remove(filepath.Join(dir, "1.seg")) == nil {
		t.Error("removed twice")
	}
}

const activation = `mkdir segments
create segments/next.tmp
allocate segments/next.tmp 4096
write segments/next.tmp 0+128
sync-data segments/next.tmp
rename segments/next.tmp -> segments/1.seg
sync-dir segments
truncate segments/next.tmp 200
sync segments/next.tmp
link segments/1.seg -> 2.seg
remove segments/1.seg
remove segments/1.seg ! no such file or directory`

func TestTraceIsTheSameOnEveryDisk(t *testing.T) {
	for name, makeSystem := range systems {
		t.Run(name, func(t *testing.T) {
			fsys, root := makeSystem(t)
			traced := vfs.NewTraced(fsys, root)
			activate(t, traced, root)
			if got := strings.Join(traced.Lines(), "\n"); got != activation {
				t.Errorf("got\n%s", got)
			}
			traced.Reset()
			if len(traced.Lines()) != 0 {
				t.Error("not forgotten")
			}
			checkNothingOpen(t, traced)
		})
	}
}

func TestTraceShowsReadsOnRequest(t *testing.T) {
	disk := vfs.NewMem(1)
	check(t, disk.MkdirAll("/dir"))
	check(t, vfs.WriteFileAtomic(disk, "/dir/a", []byte("abc")))
	traced := vfs.NewTracedWithReads(disk, "/dir")
	if got := read(t, traced, "/dir/a"); got != "abc" {
		t.Errorf("got %q", got)
	}
	names(t, traced, "/dir")
	_, err := traced.Stat("/elsewhere")
	if err == nil {
		t.Error("found")
	}
	_, err = traced.Usage("/dir")
	check(t, err)
	want := []string{
		"open a", "read a 0+3", "read-dir .",
		"stat /elsewhere ! no such file or directory", "usage .",
	}
	if got := traced.Lines(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestOperationKindsHaveNames(t *testing.T) {
	for kind, want := range map[vfs.OperationKind]string{
		vfs.OpSyncData:             "sync-data",
		vfs.OpAnySync:              "sync|sync-data|sync-dir",
		vfs.OpUsage:                "usage",
		vfs.OpCreate | vfs.OpWrite: "create|write",
		0:                          "",
	} {
		if kind.String() != want {
			t.Errorf("got %q, want %q", kind.String(), want)
		}
	}
}
