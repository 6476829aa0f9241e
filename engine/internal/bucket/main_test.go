package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/blob"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const folderName = "orders.00000000000000ab"

var ctx = context.Background()

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeTime is a clock on which waiting takes no time.
type fakeTime struct {
	mu struct {
		sync.Mutex
		now    time.Time
		slept  []time.Duration
		before func(n int) // called before the n-th wait, from 1
	}
}

func newFakeTime() *fakeTime {
	f := &fakeTime{}
	f.mu.now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return f
}

func (f *fakeTime) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.now
}

func (f *fakeTime) sleep(ctx context.Context, d time.Duration) error {
	f.mu.Lock()
	f.mu.now = f.mu.now.Add(d)
	f.mu.slept = append(f.mu.slept, d)
	before, n := f.mu.before, len(f.mu.slept)
	f.mu.Unlock()
	if before != nil {
		before(n)
	}
	return ctx.Err()
}

func (f *fakeTime) beforeSleep(do func(n int)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.before = do
}

func (f *fakeTime) sleeps() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Duration{}, f.mu.slept...)
}

// longest is a jitter that always waits as long as it may.
func longest(ceiling time.Duration) time.Duration { return ceiling }

// stores are the kinds of store on which everything must hold.
var stores = map[string]func(t *testing.T) bucket.Options{
	"file on disk": func(t *testing.T) bucket.Options {
		fsys := vfs.OS()
		t.Cleanup(func() { checkNothingOpen(t, fsys) })
		return bucket.Options{URL: "file://" + t.TempDir() + "/bucket", FS: fsys}
	},
	"file in memory": func(t *testing.T) bucket.Options {
		fsys := vfs.NewMem(1)
		t.Cleanup(func() { checkNothingOpen(t, fsys) })
		return bucket.Options{URL: "file:///bucket?prefix=some/where/", FS: fsys}
	},
	"memory": func(t *testing.T) bucket.Options { return bucket.Options{URL: memoryURL()} },
	"behind faults that do not come": func(t *testing.T) bucket.Options {
		return bucket.Options{URL: memoryURL(), Wrap: func(b *blob.Bucket) *blob.Bucket { return blob.NewBucket(buckettest.New(b)) }}
	},
	"behind faults of every third request": func(t *testing.T) bucket.Options {
		return bucket.Options{URL: memoryURL(), Retry: bucket.Retry{Attempts: 50}, Wrap: func(b *blob.Bucket) *blob.Bucket {
			faulty := buckettest.New(b)
			faulty.Add(buckettest.Rule{Every: 3, Err: buckettest.ErrTimeout})
			return blob.NewBucket(faulty)
		}}
	},
}

// memoryURL is a bucket that no other test has.
func memoryURL() string { return fmt.Sprintf("mem://test-%x", rand.Uint64()) }

func checkNothingOpen(t testing.TB, fsys vfs.FS) {
	t.Helper()
	if files, maps := vfs.OpenHandles(fsys); files != 0 || maps != 0 {
		t.Errorf("left open: %d files, %d maps", files, maps)
	}
}

func open(t testing.TB, opts bucket.Options) (*bucket.Bucket, *bucket.Folder) {
	t.Helper()
	clock := newFakeTime()
	if opts.Now == nil {
		opts.Now, opts.Sleep, opts.Jitter = clock.now, clock.sleep, longest
	}
	opened, err := bucket.Open(ctx, opts)
	check(t, err)
	folder, err := opened.Log(folderName)
	check(t, err)
	return opened, folder
}

// faultyStore is a store in memory whose requests may be made to fail.
type faultyStore struct {
	t      *testing.T
	url    string
	faulty *buckettest.Faulty
	clock  *fakeTime
	bucket *bucket.Bucket
	folder *bucket.Folder
}

// newFaultyStore opens one that was probed, so that what follows is counted
// from 0.
func newFaultyStore(t *testing.T, change ...func(*bucket.Options)) *faultyStore {
	t.Helper()
	s := &faultyStore{t: t, url: memoryURL(), clock: newFakeTime()}
	opts := bucket.Options{URL: s.url, Now: s.clock.now, Sleep: s.clock.sleep, Jitter: longest}
	opts.Wrap = func(b *blob.Bucket) *blob.Bucket {
		s.faulty = buckettest.New(b)
		return blob.NewBucket(s.faulty)
	}
	for _, set := range change {
		set(&opts)
	}
	s.bucket, s.folder = open(t, opts)
	check(t, s.bucket.Probe(ctx))
	t.Cleanup(func() { check(t, s.bucket.Close()) })
	return s
}

// bypass is the same store without its faults.
func (s *faultyStore) bypass() *bucket.Folder {
	s.t.Helper()
	other, folder := open(s.t, bucket.Options{URL: s.url})
	s.t.Cleanup(func() { check(s.t, other.Close()) })
	return folder
}

func text(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.Copy(w, strings.NewReader(content))
		return err
	}
}

func put(t testing.TB, folder *bucket.Folder, key, content string) bucket.Attributes {
	t.Helper()
	attributes, err := folder.Put(ctx, key, text(content))
	check(t, err)
	return attributes
}

func held(t testing.TB, folder *bucket.Folder, key string) string {
	t.Helper()
	data, err := folder.ReadAll(ctx, key, 1<<30)
	check(t, err)
	return string(data)
}

func keys(t testing.TB, folder *bucket.Folder, prefix string) []string {
	t.Helper()
	found := []string{}
	for object, err := range folder.List(ctx, prefix) {
		check(t, err)
		found = append(found, object.Key)
	}
	return found
}

// failedWith is the error of a call, which must be of that kind.
func failedWith(t testing.TB, err error, want bucket.Kind) *bucket.Error {
	t.Helper()
	wantKind(t, err, want)
	var failed *bucket.Error
	errors.As(err, &failed)
	return failed
}

func wantKind(t testing.TB, err error, want bucket.Kind) {
	t.Helper()
	if bucket.KindOf(err) != want {
		t.Fatalf("got %v (kind %v), want kind %v", err, bucket.KindOf(err), want)
	}
}

func pattern(length int) []byte {
	return bytes.Repeat([]byte("0123456789abcdef"), length/16+1)[:length]
}

func cancellable() (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }

// received hands out what a closed channel holds.
func received[T any](from chan T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for value := range from {
			if !yield(value) {
				return
			}
		}
	}
}
