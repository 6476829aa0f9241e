package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob/driver"
)

// This file lists objects in byte order of their keys. Within a directory,
// entries are visited in the order of the parts that they stand for, a
// directory's with its '/': that is the order of the keys below.

// pageObjectsDefault is large because each page reads its directories again.
const pageObjectsDefault = 10_000

// The first byte of a page token says what the key behind it is.
const (
	tokenObject = 'o' // the last object of the page before
	tokenPrefix = 'p' // a prefix that stood for all its objects
)

// ListPaged lists a page of objects; see [driver.Bucket].
func (b *bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	if opts.BeforeList != nil {
		if err := opts.BeforeList(nothingAs); err != nil {
			return nil, err
		}
	}
	if err := b.present(); err != nil {
		return nil, err
	}
	l := &lister{bucket: b, ctx: ctx, prefix: opts.Prefix, delimiter: opts.Delimiter, max: opts.PageSize}
	if l.max == 0 {
		l.max = pageObjectsDefault
	}
	if len(opts.PageToken) > 0 {
		l.after = string(opts.PageToken[1:])
		if opts.PageToken[0] == tokenPrefix {
			l.done = l.after
		}
	}
	err := l.directory(b.dir, "")
	if errors.Is(err, errPageFull) {
		l.page.NextPageToken = l.token()
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return &l.page, nil
}

var errPageFull = errors.New("fileblob: page is full")

// lister walks the directories for one page.
type lister struct {
	bucket    *bucket
	ctx       context.Context
	prefix    string
	delimiter string
	max       int
	after     string // keys up to this one were listed before
	done      string // a prefix whose keys are all accounted for, or ""
	page      driver.ListPage
}

type listedEntry struct {
	part  string // ends in '/' for a directory
	entry fs.DirEntry
}

// directory lists what is below the directory whose keys start with prefix.
func (l *lister) directory(dir, prefix string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	found, err := l.bucket.fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	entries := make([]listedEntry, 0, len(found))
	holdsObjects := false
	for _, entry := range found {
		if part, ok := decodeName(entry.Name(), entry.IsDir()); ok && l.mayHold(prefix+part, entry.IsDir()) {
			entries = append(entries, listedEntry{part, entry})
			holdsObjects = holdsObjects || !entry.IsDir()
		}
	}
	if holdsObjects {
		if err := l.bucket.confirm(filepath.Join(dir, "any")); err != nil {
			return fmt.Errorf("confirm listed objects: %w", err)
		}
	}
	slices.SortFunc(entries, func(a, b listedEntry) int { return strings.Compare(a.part, b.part) })
	for _, found := range entries {
		if err := l.visit(dir, prefix+found.part, found.entry); err != nil {
			return err
		}
	}
	return nil
}

// mayHold says that the object of a key, or one below a directory's, belongs to
// this page or a later one.
func (l *lister) mayHold(key string, isDirectory bool) bool {
	if l.done != "" && strings.HasPrefix(key, l.done) {
		return false
	}
	if isDirectory {
		overlaps := strings.HasPrefix(key, l.prefix) || strings.HasPrefix(l.prefix, key)
		return overlaps && (key > l.after || strings.HasPrefix(l.after, key))
	}
	return strings.HasPrefix(key, l.prefix) && key > l.after
}

func (l *lister) visit(dir, key string, entry fs.DirEntry) error {
	if !l.mayHold(key, entry.IsDir()) { // done may have changed
		return nil
	}
	if entry.IsDir() {
		return l.directory(filepath.Join(dir, entry.Name()), key)
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("describe listed object: %w", err)
	}
	if len(l.page.Objects) == l.max {
		return errPageFull
	}
	object := &driver.ListObject{Key: key, ModTime: info.ModTime(), Size: info.Size()}
	if l.delimiter != "" {
		if at := strings.Index(key[len(l.prefix):], l.delimiter); at >= 0 {
			l.done = key[:len(l.prefix)+at+len(l.delimiter)]
			object = &driver.ListObject{Key: l.done, IsDir: true}
		}
	}
	l.page.Objects = append(l.page.Objects, object)
	return nil
}

// token is where the page after a full one goes on.
func (l *lister) token() []byte {
	last := l.page.Objects[len(l.page.Objects)-1]
	kind := byte(tokenObject)
	if last.IsDir {
		kind = tokenPrefix
	}
	return append([]byte{kind}, last.Key...)
}
