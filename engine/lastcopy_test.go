package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/manifest"
)

// A bucket that is away for a moment, or gives a bad answer once, costs no
// record: what was found there is believed only until the object can be read.
func TestSegmentWhoseOnlyCopyWasNotFoundIsReadWhenItIsBack(t *testing.T) {
	const count = 1500
	root, opts := filepath.Join(t.TempDir(), "root"), tieredOptions(t)
	bucket := strings.TrimPrefix(opts.Bucket, "file://")
	e := openOnDisk(t, root, opts)
	l := openLogTest(t, e, smallSegments())
	appendTiered(t, l, 1, count)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCold(t, l)
	eventually(t, "the first segment is only cold", func() bool {
		return l.journal.state().Segment(1).Resident == manifest.TierSet(0).With(manifest.TierCold)
	})
	key := filepath.Join(bucket, l.folder.Name()+"+", strings.Replace(l.journal.state().Segment(1).Cold.Key, "/", "+/", 1))
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	r, err := l.NewReader(ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("without the object: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	wantTiered(t, readAll(t, l, ReadOptions{ToSeq: count}), 1, 1, count)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{root, opts.Bucket} {
		readOnly, err := OpenReadOnly(place)
		if err != nil {
			t.Fatal(err)
		}
		wantTiered(t, readAll(t, openLogTest(t, readOnly, LogOptions{}), ReadOptions{ToSeq: count}), 1, 1, count)
		if err := readOnly.Close(); err != nil {
			t.Fatal(err)
		}
	}
	e = openOnDisk(t, root, opts)
	l = openLogTest(t, e, smallSegments())
	wantTiered(t, readAll(t, l, ReadOptions{ToSeq: count}), 1, 1, count)
	rec := tieredRecord(count + 1)
	if _, err := l.AppendIf(&rec, Conditions{ExpectLastSubjectSeq: true, LastSubjectSeq: 0}); err == nil {
		t.Error("a condition that does not hold was accepted")
	}
}
