package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// The contract of FS and File, asked of every implementation.

var systems = map[string]func(t *testing.T) (vfs.FS, string){
	"OS": func(t *testing.T) (vfs.FS, string) { return vfs.OS(), t.TempDir() },
	"Mem": func(t *testing.T) (vfs.FS, string) {
		m := vfs.NewMem(1)
		check(t, m.MkdirAll("/data"))
		return m, "/data"
	},
	"Faulty": func(t *testing.T) (vfs.FS, string) { return vfs.NewFaulty(vfs.OS()), t.TempDir() },
	"Traced": func(t *testing.T) (vfs.FS, string) { return vfs.NewTraced(vfs.NewMem(1), "/"), "/" },
}

var contract = []struct {
	behaviour string
	holds     func(t *testing.T, fsys vfs.FS, root string)
}{
	{"create refuses a taken name", createRefusesTakenName},
	{"missing files and directories are not found", missingIsNotFound},
	{"a path through a file is no directory", pathThroughFile},
	{"reading ends with EOF", readingEndsWithEOF},
	{"a write behind the end leaves zeros", writeBehindEnd},
	{"negative offsets are invalid", negativeOffsets},
	{"a file opened for reading cannot be changed", readOnlyFile},
	{"truncated bytes come back as zeros", truncateAndGrow},
	{"zero-filled allocation keeps content and reads as zeros", allocates(vfs.ZeroFilled)},
	{"reserved allocation keeps content and reads as zeros", allocates(vfs.Reserved)},
	{"a closed file returns ErrClosed", closedFile},
	{"rename replaces a file", renameReplaces},
	{"rename refuses a directory as target", renameOntoDirectory},
	{"rename moves a directory with its files", renameDirectory},
	{"an open file survives its rename and its removal", openFileKeepsContent},
	{"link gives the same file a second name, once", linkSharesFile},
	{"a file keeps its identity under all its names", identityStays},
	{"a directory with files cannot be removed", removeDirectory},
	{"directories are listed in byte order", listInOrder},
	{"stat tells files from directories", statDescribes},
	{"making directories can be repeated", mkdirRepeats},
	{"a lock has one holder", lockHasOneHolder},
	{"a directory is locked whatever is in it", lockOfDirectory},
	{"a map follows writes and outlives its file", mapFollowsWrites},
	{"a map of nothing is empty", emptyMap},
	{"bytes published by an atomic are read without a race", mapAndWriter},
	{"writes at distinct offsets run concurrently", concurrentWrites},
	{"syncs succeed", syncsSucceed},
	{"usage is reported", usageIsReported},
	{"handles are counted", handlesAreCounted},
}

func TestContract(t *testing.T) {
	for name, makeSystem := range systems {
		for _, c := range contract {
			t.Run(name+"/"+c.behaviour, func(t *testing.T) {
				fsys, root := makeSystem(t)
				c.holds(t, fsys, root)
				checkNothingOpen(t, fsys)
			})
		}
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func createRefusesTakenName(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "a")
	file := create(t, fsys, name)
	defer closeAll(t, file)
	if file.Name() != name {
		t.Errorf("name is %q", file.Name())
	}
	_, err := fsys.Create(name)
	wantError(t, err, fs.ErrExist)
}

func missingIsNotFound(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "none")
	_, openErr := fsys.Open(name)
	_, writeErr := fsys.OpenReadWrite(name)
	_, statErr := fsys.Stat(name)
	_, readErr := fsys.ReadDir(name)
	_, createErr := fsys.Create(filepath.Join(name, "file"))
	_, lockErr := fsys.Lock(filepath.Join(name, "file"))
	_, usageErr := fsys.Usage(name)
	for _, err := range []error{
		openErr, writeErr, statErr, readErr, createErr, lockErr, usageErr,
		fsys.Remove(name), fsys.SyncDir(name),
		fsys.Rename(name, name+"2"), fsys.Link(name, name+"2"),
	} {
		wantError(t, err, fs.ErrNotExist)
	}
}

func pathThroughFile(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "a")
	check(t, create(t, fsys, name).Close())
	_, err := fsys.Create(filepath.Join(name, "b"))
	wantError(t, err, syscall.ENOTDIR)
	wantError(t, fsys.MkdirAll(filepath.Join(name, "b")), syscall.ENOTDIR)
	wantError(t, fsys.MkdirAll(name), syscall.ENOTDIR)
	wantError(t, fsys.SyncDir(name), syscall.ENOTDIR)
}

func readingEndsWithEOF(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	defer closeAll(t, file)
	write(t, file, 0, []byte("hello"))
	for _, c := range []struct {
		offset int64
		length int
		want   string
		err    error
	}{
		{0, 5, "hello", nil}, {1, 3, "ell", nil}, {3, 5, "lo", io.EOF},
		{5, 1, "", io.EOF}, {100, 1, "", io.EOF}, {2, 0, "", nil},
	} {
		p := make([]byte, c.length)
		n, err := file.ReadAt(p, c.offset)
		if string(p[:n]) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%d+%d: got %q, %v", c.offset, c.length, p[:n], err)
		}
	}
}

func writeBehindEnd(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "a")
	file := create(t, fsys, name)
	write(t, file, 0, []byte("ab"))
	write(t, file, 10000, []byte("c"))
	check(t, file.Close())
	want := append(append([]byte("ab"), make([]byte, 9998)...), 'c')
	if read(t, fsys, name) != string(want) {
		t.Error("the gap is not zeros")
	}
}

func negativeOffsets(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	defer closeAll(t, file)
	_, err := file.ReadAt(make([]byte, 1), -1)
	wantError(t, err, syscall.EINVAL)
	_, err = file.WriteAt(make([]byte, 1), -1)
	wantError(t, err, syscall.EINVAL)
	wantError(t, file.Truncate(-1), syscall.EINVAL)
	_, err = file.Map(-1)
	wantError(t, err, syscall.EINVAL)
}

func readOnlyFile(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "a")
	check(t, create(t, fsys, name).Close())
	file, err := fsys.Open(name)
	check(t, err)
	defer closeAll(t, file)
	_, err = file.WriteAt([]byte("x"), 0)
	wantError(t, err, syscall.EBADF)
	wantError(t, file.Truncate(1), syscall.EINVAL)
	if file.Allocate(4096, vfs.ZeroFilled) == nil {
		t.Error("allocated through a file opened for reading")
	}
	_, err = fsys.OpenReadWrite(root)
	wantError(t, err, syscall.EISDIR)
}

func truncateAndGrow(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "a")
	file := create(t, fsys, name)
	write(t, file, 0, filled('x', 9000))
	check(t, file.Truncate(5000))
	check(t, file.Truncate(8000))
	check(t, file.Close())
	want := append(filled('x', 5000), make([]byte, 3000)...)
	if read(t, fsys, name) != string(want) {
		t.Error("truncated bytes came back")
	}
}

func allocates(how vfs.Allocation) func(t *testing.T, fsys vfs.FS, root string) {
	return func(t *testing.T, fsys vfs.FS, root string) {
		name := filepath.Join(root, "a")
		file := create(t, fsys, name)
		write(t, file, 0, []byte("head"))
		check(t, file.Allocate(3<<20+17, how))
		check(t, file.Allocate(100, how))
		size, err := file.Size()
		check(t, err)
		if size != 3<<20+17 {
			t.Errorf("size is %d", size)
		}
		check(t, file.Close())
		want := append([]byte("head"), make([]byte, 3<<20+17-4)...)
		if read(t, fsys, name) != string(want) {
			t.Error("content is not head and zeros")
		}
	}
}

func closedFile(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	mapping, err := file.Map(1)
	check(t, err)
	check(t, file.Close())
	check(t, mapping.Close())
	_, readErr := file.ReadAt(make([]byte, 1), 0)
	_, writeErr := file.WriteAt(make([]byte, 1), 0)
	_, sizeErr := file.Size()
	_, mapErr := file.Map(1)
	for _, err := range []error{
		file.Close(), readErr, writeErr, sizeErr, mapErr, mapping.Close(),
		file.Sync(), file.SyncData(), file.Truncate(0), file.Allocate(1, vfs.Reserved),
	} {
		wantError(t, err, fs.ErrClosed)
	}
}

func renameReplaces(t *testing.T, fsys vfs.FS, root string) {
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	check(t, vfs.WriteFileAtomic(fsys, a, []byte("new")))
	check(t, vfs.WriteFileAtomic(fsys, b, []byte("old")))
	check(t, fsys.Rename(a, b))
	check(t, fsys.Rename(b, b))
	if got := names(t, fsys, root); !slices.Equal(got, []string{"b"}) || read(t, fsys, b) != "new" {
		t.Errorf("after the rename: %v, b is %q", got, read(t, fsys, b))
	}
}

func renameOntoDirectory(t *testing.T, fsys vfs.FS, root string) {
	file, dir := filepath.Join(root, "file"), filepath.Join(root, "dir")
	check(t, create(t, fsys, file).Close())
	check(t, fsys.MkdirAll(dir))
	wantError(t, fsys.Rename(file, dir), fs.ErrExist)
	wantError(t, fsys.Rename(dir, file), syscall.ENOTDIR)
	wantError(t, fsys.Rename(dir, filepath.Join(dir, "inside")), syscall.EINVAL)
}

func renameDirectory(t *testing.T, fsys vfs.FS, root string) {
	from, to := filepath.Join(root, "x", "from"), filepath.Join(root, "y", "to")
	check(t, fsys.MkdirAll(from))
	check(t, fsys.MkdirAll(filepath.Dir(to)))
	check(t, vfs.WriteFileAtomic(fsys, filepath.Join(from, "f"), []byte("content")))
	check(t, fsys.Rename(from, to))
	if got := read(t, fsys, filepath.Join(to, "f")); got != "content" {
		t.Errorf("got %q", got)
	}
	if got := names(t, fsys, filepath.Dir(from)); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func openFileKeepsContent(t *testing.T, fsys vfs.FS, root string) {
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	file := create(t, fsys, a)
	defer closeAll(t, file)
	write(t, file, 0, []byte("one"))
	check(t, fsys.Rename(a, b))
	write(t, file, 0, []byte("two"))
	if file.Name() != a || read(t, fsys, b) != "two" {
		t.Errorf("%s is %q", file.Name(), read(t, fsys, b))
	}
	check(t, fsys.Remove(b))
	p := make([]byte, 3)
	_, err := file.ReadAt(p, 0)
	check(t, err)
	if string(p) != "two" {
		t.Errorf("got %q", p)
	}
}

func linkSharesFile(t *testing.T, fsys vfs.FS, root string) {
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	check(t, vfs.WriteFileAtomic(fsys, a, []byte("one")))
	check(t, fsys.Link(a, b))
	wantError(t, fsys.Link(a, b), fs.ErrExist)
	file, err := fsys.OpenReadWrite(b)
	check(t, err)
	write(t, file, 0, []byte("two"))
	check(t, file.Close())
	if got := read(t, fsys, a); got != "two" {
		t.Errorf("got %q", got)
	}
	check(t, fsys.Remove(a))
	if got := read(t, fsys, b); got != "two" {
		t.Errorf("got %q", got)
	}
	if fsys.Link(root, filepath.Join(root, "c")) == nil {
		t.Error("linked a directory")
	}
}

func identityStays(t *testing.T, fsys vfs.FS, root string) {
	identity := func(base string) uint64 {
		info, err := fsys.Stat(filepath.Join(root, base))
		check(t, err)
		return vfs.Identity(info)
	}
	file := create(t, fsys, filepath.Join(root, "a"))
	check(t, create(t, fsys, filepath.Join(root, "other")).Close())
	first := identity("a")
	if first == 0 || first == identity("other") {
		t.Errorf("identities %d and %d", first, identity("other"))
	}
	write(t, file, 0, []byte("content"))
	check(t, file.Close())
	check(t, fsys.Link(filepath.Join(root, "a"), filepath.Join(root, "linked")))
	check(t, fsys.Rename(filepath.Join(root, "a"), filepath.Join(root, "renamed")))
	if identity("linked") != first || identity("renamed") != first {
		t.Errorf("identity %d became %d and %d", first, identity("linked"), identity("renamed"))
	}
}

func removeDirectory(t *testing.T, fsys vfs.FS, root string) {
	dir := filepath.Join(root, "dir")
	check(t, fsys.MkdirAll(dir))
	check(t, create(t, fsys, filepath.Join(dir, "a")).Close())
	wantError(t, fsys.Remove(dir), syscall.ENOTEMPTY)
	check(t, fsys.Remove(filepath.Join(dir, "a")))
	check(t, fsys.Remove(dir))
	_, err := fsys.Stat(dir)
	wantError(t, err, fs.ErrNotExist)
}

func listInOrder(t *testing.T, fsys vfs.FS, root string) {
	for _, name := range []string{"b", "a", "B", "10", "9", "a.tmp"} {
		check(t, create(t, fsys, filepath.Join(root, name)).Close())
	}
	check(t, fsys.MkdirAll(filepath.Join(root, "c")))
	want := []string{"10", "9", "B", "a", "a.tmp", "b", "c"}
	if got := names(t, fsys, root); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func statDescribes(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	write(t, file, 0, make([]byte, 123))
	check(t, file.Close())
	info, err := fsys.Stat(filepath.Join(root, "a"))
	check(t, err)
	if info.Name() != "a" || info.Size() != 123 || info.IsDir() || !info.Mode().IsRegular() {
		t.Errorf("%s %d %v", info.Name(), info.Size(), info.Mode())
	}
	info, err = fsys.Stat(root)
	check(t, err)
	if !info.IsDir() || !info.Mode().IsDir() {
		t.Errorf("%v", info.Mode())
	}
}

func mkdirRepeats(t *testing.T, fsys vfs.FS, root string) {
	dir := filepath.Join(root, "x", "y", "z")
	check(t, fsys.MkdirAll(dir))
	check(t, fsys.MkdirAll(dir+string(filepath.Separator)))
	check(t, fsys.MkdirAll(filepath.Join(dir, "..", "w")))
	if got := names(t, fsys, filepath.Dir(dir)); !slices.Equal(got, []string{"w", "z"}) {
		t.Errorf("got %v", got)
	}
}

func lockHasOneHolder(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "LOCK")
	for range 2 {
		lock, err := fsys.Lock(name)
		check(t, err)
		_, err = fsys.Lock(name)
		wantError(t, err, vfs.ErrLocked)
		check(t, lock.Close())
		wantError(t, lock.Close(), fs.ErrClosed)
	}
}

func lockOfDirectory(t *testing.T, fsys vfs.FS, root string) {
	dir := filepath.Join(root, "locked")
	check(t, fsys.MkdirAll(dir))
	lock, err := fsys.Lock(dir)
	check(t, err)
	inside, err := fsys.Lock(filepath.Join(dir, "LOCK"))
	check(t, err)
	check(t, fsys.Remove(filepath.Join(dir, "LOCK")))
	_, err = fsys.Lock(dir)
	wantError(t, err, vfs.ErrLocked)
	check(t, fsys.Rename(dir, dir+"2"))
	_, err = fsys.Lock(dir + "2")
	wantError(t, err, vfs.ErrLocked)
	closeAll(t, inside, lock)
	lock, err = fsys.Lock(dir + "2")
	check(t, err)
	closeAll(t, lock)
}

func mapFollowsWrites(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	check(t, file.Allocate(8192, vfs.ZeroFilled))
	mapping, err := file.Map(8192)
	check(t, err)
	write(t, file, 4000, filled('x', 200))
	write(t, file, 1<<20, []byte("the file grows far behind the map"))
	write(t, file, 10, []byte("y"))
	check(t, file.Truncate(8192))
	check(t, file.Close())
	want := make([]byte, 8192)
	copy(want[4000:], filled('x', 200))
	want[10] = 'y'
	if !bytes.Equal(mapping.Bytes(), want) {
		t.Error("the map does not show what was written")
	}
	check(t, mapping.Close())
}

func emptyMap(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	defer closeAll(t, file)
	mapping, err := file.Map(0)
	check(t, err)
	write(t, file, 0, []byte("x"))
	if len(mapping.Bytes()) != 0 {
		t.Errorf("%d bytes", len(mapping.Bytes()))
	}
	check(t, mapping.Close())
}

func mapAndWriter(t *testing.T, fsys vfs.FS, root string) {
	const size = 64 << 10
	file := create(t, fsys, filepath.Join(root, "a"))
	check(t, file.Allocate(size, vfs.ZeroFilled))
	mapping, err := file.Map(size)
	check(t, err)
	var written atomic.Int64
	var group sync.WaitGroup
	group.Go(func() {
		for seen := int64(0); seen < size; {
			for limit := written.Load(); seen < limit; seen++ {
				if mapping.Bytes()[seen] != byte(seen%251+1) {
					t.Errorf("byte %d is %d", seen, mapping.Bytes()[seen])
					return
				}
			}
		}
	})
	for at := 0; at < size; at += 100 {
		piece := make([]byte, min(100, size-at))
		for i := range piece {
			piece[i] = byte((at+i)%251 + 1)
		}
		write(t, file, int64(at), piece)
		written.Store(int64(at + len(piece)))
		if at%10000 == 0 {
			check(t, file.SyncData())
		}
	}
	group.Wait()
	check(t, mapping.Close())
	check(t, file.Close())
}

func concurrentWrites(t *testing.T, fsys vfs.FS, root string) {
	name := filepath.Join(root, "a")
	file := create(t, fsys, name)
	var group sync.WaitGroup
	var want []byte
	for i := range 8 {
		want = append(want, filled(byte('a'+i), 1000)...)
		group.Go(func() {
			for k := range 10 {
				if _, err := file.WriteAt(filled(byte('a'+i), 100), int64(i*1000+k*100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	check(t, file.Close())
	if read(t, fsys, name) != string(want) {
		t.Error("writes got mixed up")
	}
}

func syncsSucceed(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	write(t, file, 0, []byte("x"))
	check(t, file.SyncData())
	check(t, file.Sync())
	check(t, file.Close())
	check(t, fsys.SyncDir(root))
}

func usageIsReported(t *testing.T, fsys vfs.FS, root string) {
	usage, err := fsys.Usage(root)
	check(t, err)
	if usage.TotalBytes <= 0 || usage.FreeBytes <= 0 || usage.FreeBytes > usage.TotalBytes {
		t.Errorf("%+v", usage)
	}
}

func handlesAreCounted(t *testing.T, fsys vfs.FS, root string) {
	file := create(t, fsys, filepath.Join(root, "a"))
	again, err := fsys.Open(filepath.Join(root, "a"))
	check(t, err)
	lock, err := fsys.Lock(filepath.Join(root, "LOCK"))
	check(t, err)
	mapping, err := file.Map(10)
	check(t, err)
	if files, maps := vfs.OpenHandles(fsys); files != 3 || maps != 1 {
		t.Errorf("%d files, %d maps", files, maps)
	}
	closeAll(t, file, again, lock, mapping)
}
