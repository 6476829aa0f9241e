package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkOpenWithIDs is the open of a log that was killed and whose dedup window
// holds a million ids: recovery of the last segments, then the window.
func BenchmarkOpenWithIDs(b *testing.B) {
	const count = 1_000_000
	made := filepath.Join(b.TempDir(), "made")
	e, err := Open(made, Options{WarmBytesMax: NoWarm})
	if err != nil {
		b.Fatal(err)
	}
	l, err := e.OpenLog("bench", LogOptions{})
	if err != nil {
		b.Fatal(err)
	}
	rec := benchRecord()
	rec.Timestamp = 0
	for n := 1; n <= count; n++ {
		id := fmt.Sprintf("id-%012d", n)
		if rec.Headers, err = EncodeHeaders(map[string][]string{"Nats-Msg-Id": {id}}); err != nil {
			b.Fatal(err)
		}
		for {
			if _, err = l.AppendIf(rec, Conditions{MsgID: []byte(id)}); err == nil {
				break
			}
			if err := l.Wait(b.Context(), l.appended.Load(), Durable); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := l.Wait(b.Context(), count, Durable); err != nil {
		b.Fatal(err)
	}
	killed := filepath.Join(b.TempDir(), "killed")
	if err := os.CopyFS(killed, os.DirFS(made)); err != nil {
		b.Fatal(err)
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		root := filepath.Join(b.TempDir(), "opened")
		if err := errors.Join(os.CopyFS(root, os.DirFS(killed)), syncTree(root)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		e, err := Open(root, Options{WarmBytesMax: NoWarm})
		if err != nil {
			b.Fatal(err)
		}
		l, err := e.OpenLog("bench", LogOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if got := l.mu.dedup.newest - l.mu.dedup.oldest; got != count {
			b.Fatalf("%d ids", got)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		if err := os.RemoveAll(root); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// syncTree syncs the files below a directory: what a copy has left dirty is not what
// an open is measured with.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}
