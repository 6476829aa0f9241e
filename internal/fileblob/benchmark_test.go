package fileblob_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gocloud.dev/blob"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// BenchmarkPut creates new objects on the real disk: what a confirmation costs
// is mostly its syncs.
func BenchmarkPut(b *testing.B) {
	for _, bytes := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", bytes>>10), func(b *testing.B) {
			bucket := open(b, vfs.OS(), b.TempDir(), nil)
			content := strings.Repeat("x", bytes)
			opts := &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true}
			b.SetBytes(int64(bytes))
			next := 0
			for b.Loop() {
				next++
				check(b, bucket.WriteAll(context.Background(), fmt.Sprintf("log/segments/%020d", next), []byte(content), opts))
			}
			check(b, bucket.Close())
		})
	}
}

// BenchmarkReadRange reads a part of an object that is in the page cache.
func BenchmarkReadRange(b *testing.B) {
	bucket := open(b, vfs.OS(), b.TempDir(), nil)
	check(b, put(bucket, "log/segments/a", strings.Repeat("x", 1<<20), true))
	data := make([]byte, 16<<10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		reader, err := bucket.NewRangeReader(context.Background(), "log/segments/a", 4096, int64(len(data)), nil)
		check(b, err)
		for read := 0; read < len(data); {
			n, err := reader.Read(data[read:])
			check(b, err)
			read += n
		}
		check(b, reader.Close())
	}
	check(b, bucket.Close())
}

// BenchmarkList lists a directory of many objects.
func BenchmarkList(b *testing.B) {
	const objects = 20_000
	disk := vfs.NewMem(1)
	bucket := open(b, disk, bucketDir, seeded(1))
	for index := range objects {
		check(b, put(bucket, fmt.Sprintf("log/segments/%020d", index), "x", true))
	}
	for b.Loop() {
		if found := list(b, bucket); len(found) != objects {
			b.Fatalf("listed %d", len(found))
		}
	}
	check(b, bucket.Close())
}
