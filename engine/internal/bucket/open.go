package bucket

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/aof-nats/aof-nats/internal/fileblob"
)

// store is an opened object store.
type store struct {
	blobs *blob.Bucket
	// pageObjects is how many objects one request lists.
	pageObjects int
	// shared says that others use it too, so that it stays open.
	shared bool
	// forget, if not nil, lets the store be what is found at its URL next.
	forget func()
}

// openers are the stores that are known, by the scheme of their URLs.
var openers = map[string]func(ctx context.Context, at *url.URL, opts *Options) (store, error){
	"file": openFile,
	"mem":  openMemory,
}

// Open opens a bucket. It sends no request to the store, and changes nothing but
// to make the directory of a file:// URL. The bucket is safe for concurrent use;
// the caller closes it.
func Open(ctx context.Context, opts Options) (*Bucket, error) {
	opts = opts.withDefaults()
	if err := opts.Retry.validate(); err != nil {
		return nil, err
	}
	at, prefix, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	opened, err := openers[at.Scheme](ctx, at, &opts)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", at.Redacted(), err)
	}
	b := &Bucket{opts: opts, store: opened, blobs: opened.blobs, prefix: prefix, name: at.Redacted()}
	if opts.Wrap != nil {
		b.blobs = opts.Wrap(opened.blobs)
	}
	return b, nil
}

// CheckURL reports whether Open can open a URL as it stands, without looking at
// what it names. The error matches ErrURL.
func CheckURL(text string) error {
	_, _, err := parseURL(text)
	return err
}

// parseURL checks a URL. The prefix ends in '/' or is empty.
func parseURL(text string) (at *url.URL, prefix string, err error) {
	at, err = url.Parse(text)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrURL, err)
	}
	known := strings.Join(slices.Sorted(maps.Keys(openers)), "://, ") + "://"
	if at.Scheme == "" {
		return nil, "", fmt.Errorf("%w: %q has no scheme: known are %s", ErrURL, text, known)
	}
	if openers[at.Scheme] == nil {
		return nil, "", fmt.Errorf("%w: unknown scheme %q: known are %s", ErrURL, at.Scheme, known)
	}
	if at.Opaque != "" || at.User != nil || at.Fragment != "" {
		return nil, "", fmt.Errorf("%w: %s: want %s://[name]/path[?prefix=a/b]", ErrURL, at.Redacted(), at.Scheme)
	}
	if at.Scheme == "file" && (at.Host != "" && at.Host != "localhost" || !strings.HasPrefix(at.Path, "/") || at.Path == "/") {
		return nil, "", fmt.Errorf("%w: %s: want file:///absolute/directory, with three slashes", ErrURL, at.Redacted())
	}
	query, err := url.ParseQuery(at.RawQuery)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrURL, err)
	}
	for name, values := range query {
		if name != "prefix" || len(values) != 1 {
			return nil, "", fmt.Errorf("%w: %s: the one parameter known is prefix, once", ErrURL, at.Redacted())
		}
	}
	prefix = strings.TrimSuffix(query.Get("prefix"), "/")
	if prefix == "" {
		return at, "", nil
	}
	if err := checkKey(prefix); err != nil {
		return nil, "", fmt.Errorf("%w: prefix: %w", ErrURL, err)
	}
	return at, prefix + "/", nil
}

func openFile(_ context.Context, at *url.URL, opts *Options) (store, error) {
	const pageObjects = 10_000 // each page reads its directories again
	dir, err := fileblob.OpenDirectory(opts.FS, at.Path, fileblob.Options{ReadOnly: opts.ReadOnly, Existing: opts.Existing, Random: opts.Random})
	if err != nil {
		return store{}, err
	}
	return store{blobs: dir.Bucket, pageObjects: pageObjects, forget: dir.Forget}, nil
}

// memory holds the buckets of mem:// URLs, which live as long as the process:
// what a bucket is for is to be there when it is opened again.
var memory struct {
	mu struct {
		sync.Mutex
		buckets map[string]*blob.Bucket
	}
}

func openMemory(_ context.Context, at *url.URL, _ *Options) (store, error) {
	const pageObjects = 1000
	name := at.Host + at.Path
	memory.mu.Lock()
	defer memory.mu.Unlock()
	if memory.mu.buckets == nil {
		memory.mu.buckets = map[string]*blob.Bucket{}
	}
	if memory.mu.buckets[name] == nil {
		memory.mu.buckets[name] = memblob.OpenBucket(nil)
	}
	return store{blobs: memory.mu.buckets[name], pageObjects: pageObjects, shared: true}, nil
}
