package bucket_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

// The contract of a bucket, asked of every kind of store.

var contract = []struct {
	behaviour string
	holds     func(t *testing.T, opened *bucket.Bucket, folder *bucket.Folder)
}{
	{"what was put is read back", putIsReadBack},
	{"an empty object is an object", emptyObject},
	{"a key is written once", writtenOnce},
	{"a body that fails leaves nothing", failedBody},
	{"a context that ends leaves nothing", endedContext},
	{"ranges are exact or an error", exactRanges},
	{"a whole read is bounded", boundedReads},
	{"what is missing is missing", missingObjects},
	{"a delete can be repeated", repeatedDeletes},
	{"listings are in byte order, below the prefix, relative", listings},
	{"a listing may be left early", listingLeft},
	{"folders are listed, and nothing else", folders},
	{"keys that cannot be are refused", invalidKeys},
	{"one of many writers creates a key", oneWinner},
	{"claims fence", claimsFence},
	{"what was written is there after opening again", reopened},
}

func TestContract(t *testing.T) {
	for name, makeOptions := range stores {
		for _, c := range contract {
			t.Run(name+"/"+c.behaviour, func(t *testing.T) {
				opts := makeOptions(t)
				opened, folder := open(t, opts)
				c.holds(t, opened, folder)
				if err := opened.Close(); err != nil && !errors.Is(err, bucket.ErrClosed) {
					t.Error(err)
				}
			})
		}
	}
}

func putIsReadBack(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	content := string(pattern(3 << 20))
	put1, err := folder.Put(ctx, "segments/a", func(w io.Writer) error {
		for from := 0; from < len(content); from += 70_000 {
			if _, err := io.WriteString(w, content[from:min(from+70_000, len(content))]); err != nil {
				return err
			}
		}
		return nil
	})
	check(t, err)
	found, err := folder.Attributes(ctx, "segments/a")
	check(t, err)
	if put1 != found || found.Bytes != int64(len(content)) || found.ETag == "" || found.Modified.IsZero() {
		t.Errorf("put says %+v, then %+v", put1, found)
	}
	if held(t, folder, "segments/a") != content {
		t.Error("other bytes")
	}
}

func emptyObject(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	if made := put(t, folder, "empty", ""); made.Bytes != 0 {
		t.Errorf("got %+v", made)
	}
	if held(t, folder, "empty") != "" {
		t.Error("not empty")
	}
}

func writtenOnce(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	first := put(t, folder, "a", "first")
	_, err := folder.Put(ctx, "a", text("second"))
	failed := failedWith(t, err, bucket.KindExists)
	if !errors.Is(err, bucket.ErrExists) || failed.Found == nil || *failed.Found != first {
		t.Errorf("got %v, found %+v", err, failed.Found)
	}
	if held(t, folder, "a") != "first" {
		t.Error("overwritten")
	}
}

func failedBody(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	broken := errors.New("source is broken")
	calls := 0
	_, err := folder.Put(ctx, "a", func(w io.Writer) error {
		calls++
		if _, err := w.Write(pattern(100_000)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || bucket.KindOf(err) != 0 || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	if found := keys(t, folder, ""); len(found) != 0 {
		t.Errorf("left %q", found)
	}
	put(t, folder, "a", "whole")
}

func endedContext(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	ctx, cancel := cancellable()
	_, err := folder.Put(ctx, "a", func(w io.Writer) error {
		_, err := w.Write(pattern(100_000))
		cancel()
		return err
	})
	wantKind(t, err, bucket.KindCancelled)
	if _, err := folder.Attributes(ctx, "a"); bucket.KindOf(err) != bucket.KindCancelled {
		t.Errorf("got %v", err)
	}
	if found := keys(t, folder, ""); len(found) != 0 {
		t.Errorf("left %q", found)
	}
}

func exactRanges(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	content := pattern(10_000)
	put(t, folder, "a", string(content))
	for _, r := range [][2]int64{{0, 1}, {0, 10_000}, {9_999, 1}, {1234, 4321}} {
		got, err := folder.ReadRange(ctx, "a", r[0], r[1])
		check(t, err)
		if string(got) != string(content[r[0]:r[0]+r[1]]) {
			t.Errorf("%v: other bytes", r)
		}
	}
	for _, r := range [][2]int64{{0, 10_001}, {9_999, 2}, {10_000, 1}, {1, 1 << 62}, {1 << 62, 1 << 62}} {
		got, err := folder.ReadRange(ctx, "a", r[0], r[1])
		if got != nil || err == nil {
			t.Errorf("%v: got %d bytes, %v", r, len(got), err)
		}
		if kind := bucket.KindOf(err); kind != bucket.KindPermanent {
			t.Errorf("%v: %v", r, err)
		}
	}
	for _, r := range [][2]int64{{-1, 1}, {0, 0}, {0, -1}} {
		if _, err := folder.ReadRange(ctx, "a", r[0], r[1]); !errors.Is(err, bucket.ErrInvalid) {
			t.Errorf("%v: %v", r, err)
		}
	}
}

func boundedReads(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	put(t, folder, "a", "12345")
	if _, err := folder.ReadAll(ctx, "a", 4); !errors.Is(err, bucket.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	data, err := folder.ReadAll(ctx, "a", 5)
	check(t, err)
	if string(data) != "12345" {
		t.Errorf("got %q", data)
	}
}

func missingObjects(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	_, rangeErr := folder.ReadRange(ctx, "none/a", 0, 1)
	_, allErr := folder.ReadAll(ctx, "none/a", 1)
	_, attributesErr := folder.Attributes(ctx, "none/a")
	for _, err := range []error{rangeErr, allErr, attributesErr} {
		if !errors.Is(err, bucket.ErrMissing) {
			t.Errorf("got %v", err)
		}
	}
	if found := keys(t, folder, "none/"); len(found) != 0 {
		t.Errorf("listed %q", found)
	}
}

func repeatedDeletes(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	put(t, folder, "a/b", "x")
	check(t, folder.Delete(ctx, "a/b"))
	check(t, folder.Delete(ctx, "a/b"))
	check(t, folder.Delete(ctx, "never/there"))
	if _, err := folder.Attributes(ctx, "a/b"); !errors.Is(err, bucket.ErrMissing) {
		t.Errorf("got %v", err)
	}
	put(t, folder, "a/b", "again")
}

func listings(t *testing.T, opened *bucket.Bucket, folder *bucket.Folder) {
	other, err := opened.Log("orders.00000000000000ac")
	check(t, err)
	put(t, other, "segments/x", "of another log")
	want := []string{"a", "a-b", "a/b", "a/b/c", "a0", "segments/1", "segments/10", "segments/2"}
	for i, at := range []int{3, 7, 0, 5, 1, 4, 6, 2} {
		put(t, folder, want[at], fmt.Sprint(i))
	}
	if got := keys(t, folder, ""); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := keys(t, folder, "segments/1"); !slices.Equal(got, want[5:7]) {
		t.Errorf("got %q", got)
	}
	for object, err := range folder.List(ctx, "segments/10") {
		check(t, err)
		if object.Bytes != 1 || object.Modified.IsZero() {
			t.Errorf("got %+v", object)
		}
	}
}

func listingLeft(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	put(t, folder, "a", "1")
	put(t, folder, "b", "2")
	seen := 0
	for _, err := range folder.List(ctx, "") {
		check(t, err)
		seen++
		break
	}
	if seen != 1 {
		t.Errorf("saw %d", seen)
	}
}

func folders(t *testing.T, opened *bucket.Bucket, folder *bucket.Folder) {
	second, err := opened.Log("a-log.ffffffffffffffff")
	check(t, err)
	for _, f := range []*bucket.Folder{folder, second} {
		put(t, f, bucket.LogKey, "{}")
		put(t, f, bucket.EpochKey(1), "{}")
	}
	var found []string
	for name, err := range opened.Logs(ctx) {
		check(t, err)
		found = append(found, name)
	}
	if !slices.Equal(found, []string{"a-log.ffffffffffffffff", folderName}) {
		t.Errorf("got %q", found)
	}
	if folder.Name() != folderName {
		t.Errorf("name %q", folder.Name())
	}
}

func invalidKeys(t *testing.T, opened *bucket.Bucket, folder *bucket.Folder) {
	for _, key := range []string{"", "/a", "a//b", "a/", "../a", "a/./b", "a/..", "\xff", string(pattern(1100))} {
		_, putErr := folder.Put(ctx, key, text("x"))
		_, readErr := folder.ReadRange(ctx, key, 0, 1)
		_, allErr := folder.ReadAll(ctx, key, 1)
		_, attributesErr := folder.Attributes(ctx, key)
		for _, err := range []error{putErr, readErr, allErr, attributesErr, folder.Delete(ctx, key)} {
			if !errors.Is(err, bucket.ErrInvalid) || bucket.KindOf(err) != bucket.KindPermanent {
				t.Errorf("%q: %v", key, err)
			}
		}
	}
	for _, name := range []string{"", "orders", "orders.", "orders.AB", "a/b.0000000000000001", "..0000000000000001"} {
		if _, err := opened.Log(name); !errors.Is(err, bucket.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if sent := opened.Requests(); sent != (bucket.Requests{}) {
		t.Errorf("sent %+v", sent)
	}
}

func oneWinner(t *testing.T, opened *bucket.Bucket, folder *bucket.Folder) {
	check(t, opened.Probe(ctx))
	for round := range 20 {
		var all sync.WaitGroup
		won := make(chan string, 4)
		for writer := range 4 {
			all.Go(func() {
				name := fmt.Sprintf("writer %d", writer)
				_, err := folder.Put(ctx, bucket.EpochKey(uint64(round)), text(name))
				switch {
				case err == nil:
					won <- name
				case !errors.Is(err, bucket.ErrExists):
					won <- err.Error()
				}
			})
		}
		all.Wait()
		close(won)
		winners := slices.Collect(received(won))
		if len(winners) != 1 || held(t, folder, bucket.EpochKey(uint64(round))) != winners[0] {
			t.Fatalf("won by %q", winners)
		}
	}
}

func claimsFence(t *testing.T, _ *bucket.Bucket, folder *bucket.Folder) {
	first, second := bucket.Owner{Name: "node-1", Token: "t1"}, bucket.Owner{Name: "node-2", Token: "t2"}
	highest := func(want uint64) {
		t.Helper()
		if got, err := folder.HighestEpoch(ctx); err != nil || got != want {
			t.Errorf("highest epoch %d, %v, want %d", got, err, want)
		}
	}
	highest(0)
	check(t, folder.Claim(ctx, 1, first))
	check(t, folder.Claim(ctx, 1, first)) // found again
	check(t, folder.Superseded(ctx, 1))
	err := folder.Claim(ctx, 1, second)
	var fenced *bucket.FencedError
	if !errors.Is(err, bucket.ErrFenced) || !errors.As(err, &fenced) || fenced.Holder != first || fenced.Epoch != 1 || fenced.Claimed.IsZero() {
		t.Errorf("got %v, %+v", err, fenced)
	}
	check(t, folder.Claim(ctx, 2, second))
	highest(2)
	if err := folder.Superseded(ctx, 1); !errors.As(err, &fenced) || fenced.Holder != second || fenced.Epoch != 2 {
		t.Errorf("got %v", err)
	}
	check(t, folder.Superseded(ctx, 2))
}

func reopened(t *testing.T, opened *bucket.Bucket, folder *bucket.Folder) {
	put(t, folder, "a", "x")
	again := opened.Reopen(t)
	other, err := again.Log(folderName)
	check(t, err)
	if held(t, other, "a") != "x" {
		t.Error("other bytes")
	}
	check(t, opened.Close())
	if held(t, other, "a") != "x" {
		t.Error("closing one closed the other")
	}
	check(t, again.Close())
	if _, err := folder.Attributes(ctx, "a"); !errors.Is(err, bucket.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := opened.Close(); !errors.Is(err, bucket.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
