package bucket_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
)

// Reads, listings and deletes of a store that misbehaves, and what is counted.

func TestReadsUnderFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		rule buckettest.Rule
		kind bucket.Kind // 0: read
		gets int
	}{
		{"fails once", buckettest.Rule{Times: 1}, 0, 2},
		{"always fails", buckettest.Rule{}, bucket.KindTransient, 5},
		{"an answer that ends early", buckettest.Rule{Fault: buckettest.Shorten, Bytes: 5, Times: 2}, 0, 3},
		{"an answer that always ends early", buckettest.Rule{Fault: buckettest.Shorten, Bytes: 5}, bucket.KindTransient, 5},
		{"a connection that breaks", buckettest.Rule{Fault: buckettest.Break, Bytes: 5, Times: 1}, 0, 2},
		{"throttled", buckettest.Rule{Err: buckettest.ErrThrottled, Times: 4}, 0, 5},
		{"access denied", buckettest.Rule{Err: buckettest.ErrAuth}, bucket.KindAuth, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newFaultyStore(t)
			put(t, s.folder, "a", body)
			c.rule.Op = buckettest.OpGet
			s.faulty.Add(c.rule)
			data, err := s.folder.ReadRange(ctx, "a", 4, 10)
			if c.kind == 0 {
				check(t, err)
				if string(data) != body[4:14] {
					t.Errorf("got %q", data)
				}
			} else {
				wantKind(t, err, c.kind)
			}
			if gets := s.faulty.Counts().Gets; gets != c.gets {
				t.Errorf("%d gets, want %d", gets, c.gets)
			}
		})
	}
}

func TestAListingGoesOnAfterAFailedPage(t *testing.T) {
	s := newFaultyStore(t)
	const objects = 2500 // pages of 1000
	var want []string
	for index := range uint64(objects) {
		want = append(want, bucket.ChunkKey(index))
		put(t, s.folder, want[index], "x")
	}
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpList, Every: 2})
	if got := keys(t, s.folder, bucket.ManifestPrefix); !slices.Equal(got, want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	s.faulty.Clear()
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpList, After: 1, Err: buckettest.ErrAuth})
	seen := 0
	var last error
	for _, err := range s.folder.List(ctx, "") {
		if last = err; err == nil {
			seen++
		}
	}
	if wantKind(t, last, bucket.KindAuth); seen != 1000 {
		t.Errorf("saw %d before the error", seen)
	}
}

func TestADeleteWhoseAnswerIsLostIsDone(t *testing.T) {
	for _, fault := range []buckettest.Fault{buckettest.LoseAnswer, buckettest.Repeat, buckettest.Fail} {
		s := newFaultyStore(t)
		put(t, s.folder, "a", body)
		s.faulty.Add(buckettest.Rule{Op: buckettest.OpDelete, Fault: fault, Times: 1})
		check(t, s.folder.Delete(ctx, "a"))
		if got := s.stored(); got != "(absent)" {
			t.Errorf("fault %d: the store has %q", fault, got)
		}
	}
}

func TestRequestsAreCountedAsTheStoreSeesThem(t *testing.T) {
	var mu sync.Mutex
	var seen bucket.Requests
	s := newFaultyStore(t, func(o *bucket.Options) {
		o.OnRequest = func(r bucket.Request) {
			mu.Lock()
			defer mu.Unlock()
			switch r.Kind {
			case bucket.RequestPut:
				seen.Put++
				seen.BytesOut += uint64(r.Bytes)
			case bucket.RequestGet:
				seen.Get++
				seen.BytesIn += uint64(r.Bytes)
			case bucket.RequestList:
				seen.List++
			case bucket.RequestDelete:
				seen.Delete++
			}
		}
	})
	s.faulty.Add(buckettest.Rule{Every: 3})
	for _, key := range []string{"a", "b", "c"} {
		put(t, s.folder, key, body)
		held(t, s.folder, key)
	}
	keys(t, s.folder, "")
	check(t, s.folder.Delete(ctx, "a"))
	if _, err := s.folder.Attributes(ctx, "a"); !errors.Is(err, bucket.ErrMissing) {
		t.Errorf("got %v", err)
	}
	counted, store := s.bucket.Requests(), s.faulty.Counts()
	want := bucket.Requests{
		Put: uint64(store.Puts), Get: uint64(store.Gets + store.Heads), List: uint64(store.Lists), Delete: uint64(store.Deletes),
		BytesOut: uint64(store.BytesPut), BytesIn: uint64(store.BytesGot),
	}
	if counted != want {
		t.Errorf("counted %+v, the store %+v", counted, want)
	}
	if seen != counted {
		t.Errorf("called back %+v", seen)
	}
	if bucket.RequestPut.String() != "put" || bucket.RequestDelete.String() != "delete" {
		t.Error("names")
	}
}
