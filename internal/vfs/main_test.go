package vfs_test

import (
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestMain(m *testing.M) {
	if play := os.Getenv(childVariable); play != "" {
		os.Exit(childRoles[play]())
	}
	goleak.VerifyTestMain(m)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, fsys vfs.FS, name string) vfs.File {
	t.Helper()
	file, err := fsys.Create(name)
	check(t, err)
	return file
}

func write(t testing.TB, file vfs.File, offset int64, data []byte) {
	t.Helper()
	if n, err := file.WriteAt(data, offset); err != nil || n != len(data) {
		t.Fatalf("wrote %d of %d: %v", n, len(data), err)
	}
}

func read(t testing.TB, fsys vfs.FS, name string) string {
	t.Helper()
	data, err := vfs.ReadFile(fsys, name, 1<<30)
	check(t, err)
	return string(data)
}

func names(t testing.TB, fsys vfs.FS, dir string) []string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	check(t, err)
	list := []string{}
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

func closeAll(t testing.TB, closers ...io.Closer) {
	t.Helper()
	for _, closer := range closers {
		check(t, closer.Close())
	}
}

func checkNothingOpen(t testing.TB, fsys vfs.FS) {
	t.Helper()
	if files, maps := vfs.OpenHandles(fsys); files != 0 || maps != 0 {
		t.Errorf("left open: %d files, %d maps", files, maps)
	}
}

func filled(value byte, length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = value
	}
	return data
}
