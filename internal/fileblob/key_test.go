package fileblob_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/internal/fileblob"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestKeysBecomeTheDocumentedPaths(t *testing.T) {
	bucket, dir := onDisk(t)
	for key, path := range map[string]string{
		"a":   "a",
		"a/b": "a+/b",
		"orders.00000000000000ab/segments/00000000000000000001_1-9_g1.zst": "orders.00000000000000ab+/segments+/00000000000000000001_1-9_g1.zst",
		"../up":      "%2E.+/up",
		"/rooted":    "+/rooted",
		"x//y":       "x+/+/y",
		"slash/":     "slash+/%",
		".tmp/x":     "%2Etmp+/x",
		"plus+":      "plus%2B",
		"p+q/r+/s":   "p+q+/r%2B+/s",
		"100%":       "100%25",
		"%41":        "%2541",
		"é\x00\\":    "%C3%A9%00%5C",
		"spaces too": "spaces too",
	} {
		check(t, put(bucket, key, key, true))
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		check(t, err)
		if string(content) != key {
			t.Errorf("%q is not at %s", key, path)
		}
	}
}

func TestAKeyThatIsTooLongIsRefused(t *testing.T) {
	bucket, _ := onDisk(t)
	longest := strings.Repeat("k", 255)
	check(t, put(bucket, longest, "x", true))
	check(t, put(bucket, longest[1:]+"/"+longest, "x", true))
	for _, key := range []string{longest + "k", longest + "/x", "x/" + longest + "k", strings.Repeat("é", 43) + "x/" + strings.Repeat("long/", 2000)} {
		if err := put(bucket, key, "x", true); gcerrors.Code(err) != gcerrors.InvalidArgument {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
	}
}

func TestForeignFilesAreNoObjects(t *testing.T) {
	bucket, dir := onDisk(t)
	check(t, put(bucket, "log/a", "x", true))
	for _, name := range []string{".hidden", "log+/.b.swp", "log+/%2", "log+/%zz", "log+/100%", "log+/%41", "log+/q?"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("foreign"), 0o600))
	}
	for _, name := range []string{"log+/directory", "unmarked", ".git"} {
		check(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	if got := list(t, bucket); !slices.Equal(got, []string{"log/a"}) {
		t.Errorf("listed %q", got)
	}
	ctx := context.Background()
	if _, err := bucket.Attributes(ctx, "log/directory"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("attributes of a directory: %v", err)
	}
	if err := bucket.Delete(ctx, "log/directory"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("delete of a directory: %v", err)
	}
	if err := put(bucket, "log/directory", "x", true); err == nil || gcerrors.Code(err) == gcerrors.FailedPrecondition {
		t.Errorf("a directory in the way is no object: %v", err)
	}
	_, err := os.Stat(filepath.Join(dir, "log+", "directory"))
	check(t, err)
}

func TestThePathMustBeAbsolute(t *testing.T) {
	if _, err := fileblob.Open(vfs.OS(), "relative/dir", fileblob.Options{}); err == nil {
		t.Error("opened")
	}
}

// keyAlphabet makes collisions, orders and escapes likely.
var keyAlphabet = []string{"a", "b", "/", "/", "+", "%", ".", "-", "0", "é", "A", "%2F", "\x7f", " "}

func randomKey(random *rand.Rand) string {
	var key strings.Builder
	for range 1 + random.IntN(6) {
		key.WriteString(keyAlphabet[random.IntN(len(keyAlphabet))])
	}
	return key.String()
}

// TestListingIsThatOfASortedSet compares listings with a model, over prefixes,
// delimiters and page sizes.
func TestListingIsThatOfASortedSet(t *testing.T) {
	for seed := uint64(1); seed <= 30; seed++ {
		random := rand.New(rand.NewPCG(seed, 0))
		bucket := open(t, vfs.NewMem(seed), bucketDir, seeded(seed))
		model := map[string]bool{}
		for range 60 {
			key := randomKey(random)
			err := put(bucket, key, key, true)
			if (err != nil) != model[key] {
				t.Fatalf("seed %d, key %q: %v", seed, key, err)
			}
			model[key] = true
			if random.IntN(4) == 0 {
				check(t, bucket.Delete(context.Background(), key))
				delete(model, key)
			}
		}
		for key := range model {
			if content, err := get(bucket, key); err != nil || content != key {
				t.Fatalf("seed %d: %q holds %q, %v", seed, key, content, err)
			}
		}
		for range 30 {
			checkPages(t, bucket, model, random)
		}
		check(t, bucket.Close())
	}
}

func checkPages(t *testing.T, bucket *blob.Bucket, model map[string]bool, random *rand.Rand) {
	t.Helper()
	opts := &blob.ListOptions{Delimiter: []string{"", "/", "a", "%2"}[random.IntN(4)]}
	if random.IntN(2) == 0 {
		opts.Prefix = randomKey(random)[:1]
	}
	var want []string
	for _, key := range sortedKeys(model) {
		if rest, below := strings.CutPrefix(key, opts.Prefix); below {
			if before, _, found := strings.Cut(rest, opts.Delimiter); found && opts.Delimiter != "" {
				key = opts.Prefix + before + opts.Delimiter
			}
			if len(want) == 0 || want[len(want)-1] != key {
				want = append(want, key)
			}
		}
	}
	var got []string
	size := 1 + random.IntN(5)
	for token := blob.FirstPageToken; ; {
		page, next, err := bucket.ListPage(context.Background(), token, size, opts)
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		for _, object := range page {
			got = append(got, object.Key)
		}
		token = next
	}
	if !slices.Equal(got, want) {
		t.Fatalf("pages of %d, %+v:\n got %q\nwant %q", size, opts, got, want)
	}
}

func sortedKeys(model map[string]bool) []string {
	var keys []string
	for key := range model {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
