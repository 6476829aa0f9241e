package fileblob_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"
	"gocloud.dev/blob"

	"github.com/aof-nats/aof-nats/internal/fileblob"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestMain(m *testing.M) {
	if play := os.Getenv(childVariable); play != "" {
		os.Exit(childRoles[play]())
	}
	goleak.VerifyTestMain(m)
}

const bucketDir = "/disk/bucket"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// seeded is a source of names that is the same in every run.
func seeded(seed uint64) io.Reader {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	return rand.NewChaCha8(key)
}

func open(t testing.TB, fsys vfs.FS, dir string, random io.Reader) *blob.Bucket {
	t.Helper()
	bucket, err := fileblob.Open(fsys, dir, fileblob.Options{Random: random})
	check(t, err)
	return bucket
}

// onDisk is a bucket on the real disk, which is closed with the test and must
// have nothing open then.
func onDisk(t testing.TB) (*blob.Bucket, string) {
	t.Helper()
	fsys, dir := vfs.OS(), t.TempDir()
	bucket := open(t, fsys, dir, nil)
	t.Cleanup(func() {
		check(t, bucket.Close())
		checkNothingOpen(t, fsys)
	})
	return bucket, dir
}

func checkNothingOpen(t testing.TB, fsys vfs.FS) {
	t.Helper()
	if files, maps := vfs.OpenHandles(fsys); files != 0 || maps != 0 {
		t.Errorf("left open: %d files, %d maps", files, maps)
	}
}

// put writes an object as production code does: in pieces, given up by its
// context when a piece fails.
func put(bucket *blob.Bucket, key, content string, ifAbsent bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := bucket.NewWriter(ctx, key, &blob.WriterOptions{
		IfNotExist: ifAbsent, ContentType: "text/plain", Metadata: map[string]string{"epoch": "1"},
	})
	if err != nil {
		return err
	}
	for len(content) > 0 {
		piece := min(len(content), 5000)
		if _, err := io.WriteString(w, content[:piece]); err != nil {
			cancel()
			return errors.Join(err, w.Close())
		}
		content = content[piece:]
	}
	return w.Close()
}

func get(bucket *blob.Bucket, key string) (string, error) {
	content, err := bucket.ReadAll(context.Background(), key)
	return string(content), err
}

func list(t testing.TB, bucket *blob.Bucket) []string {
	t.Helper()
	keys := []string{}
	for it := bucket.List(nil); ; {
		object, err := it.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return keys
		}
		check(t, err)
		keys = append(keys, object.Key)
	}
}
