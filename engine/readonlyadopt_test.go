package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
)

// treeOf is what a directory holds, by path.
func treeOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contents, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(contents)
		return err
	}))
	return files
}

// wantAllReadOnly opens a root whose manifest was damaged read-only, and wants
// every record, no damage, and that nothing was written.
func wantAllReadOnly(t *testing.T, r *tieredRoot) {
	t.Helper()
	before := treeOf(t, r.dir)
	driver, wrap := buckettest.Between()
	e, err := openReadOnly(r.dir, Options{wrapBucket: wrap})
	must(t, err)
	l := openLogTest(t, e, LogOptions{})
	for range 2 {
		wantTiered(t, readAll(t, l, ReadOptions{}), 1, 1, adoptCount)
		if state := l.State(); len(state.Recovery.Damaged) > 0 || state.Recovery.BucketUnread != nil || state.AppendStop != nil || state.FirstSeq != 1 {
			t.Errorf("from sequence %d, damaged %v, %v, %v", state.FirstSeq, state.Recovery.Damaged, state.Recovery.BucketUnread, state.AppendStop)
		}
		must(t, e.Refresh())
	}
	counts := driver.Counts()
	if counts.Puts+counts.Deletes > 0 || counts.Lists > 1 {
		t.Errorf("requests to the bucket: %+v", counts)
	}
	must(t, e.Close())
	if !maps.Equal(before, treeOf(t, r.dir)) {
		t.Error("the root was changed")
	}
}

func TestAReadOnlyLogFindsWhatADamagedRecordOfTheManifestLost(t *testing.T) {
	for _, closed := range []bool{true, false} {
		r := newLosableRoot(t, closed)
		for i, place := range manifestPlaces(t, r.log.paths.manifest) {
			if closed && i%3 != 0 {
				continue
			}
			t.Run(fmt.Sprintf("closed %v, %s", closed, place.what), func(t *testing.T) {
				damaged := r.another(t)
				path := filepath.Join(damaged.manifestDir(), filepath.Base(place.path))
				changeFile(t, path, flipAt(place.offset+place.bytes/2))
				wantAllReadOnly(t, damaged)
			})
		}
	}
}

func TestAReadOnlyLogFindsWhatALostChunkOfTheManifestHad(t *testing.T) {
	for _, closed := range []bool{true, false} {
		r := newLosableRoot(t, closed)
		chunks := chunkPaths(t, r.manifestDir())
		lose := map[string]func(dir string) error{"all chunks": os.RemoveAll}
		for _, chunk := range chunks {
			name := filepath.Base(chunk)
			lose[name] = func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
			lose["half of "+name] = func(dir string) error {
				changeFile(t, filepath.Join(dir, name), func(b []byte) []byte { return b[:len(b)/2] })
				return nil
			}
			lose["zeros in "+name] = func(dir string) error {
				changeFile(t, filepath.Join(dir, name), func(b []byte) []byte { clear(b[512:1024]); return b })
				return nil
			}
			lose["all records of "+name] = func(dir string) error {
				changeFile(t, filepath.Join(dir, name), func(b []byte) []byte { clear(b[128:]); return b })
				return nil
			}
		}
		for name, lose := range lose {
			t.Run(fmt.Sprintf("closed %v, %s", closed, name), func(t *testing.T) {
				damaged := r.another(t)
				must(t, lose(damaged.manifestDir()))
				wantAllReadOnly(t, damaged)
			})
		}
	}
}

// newColdOnlyRoot is a root of which all segments are sealed and only in the bucket,
// the last of them since the last chunk of the manifest began. It is open.
func newColdOnlyRoot(t *testing.T) *tieredRoot {
	t.Helper()
	r := newTieredRoot(t).stepped()
	r.open(t)
	for id := range 3 {
		r.fill(t, 1, 40)
		r.mustDo(t, uint64(id+1), planner.Compress, planner.Upload, planner.EvictHot, planner.EvictWarm)
		if id == 1 {
			r = r.killed(t)
		}
	}
	return r
}

// That the last chunk of the manifest is lost shows in the one before, which is
// sealed. Where the bucket does not answer, nobody knows where the log ends.
func TestAReadOnlyLogWithoutItsLastChunkAsksTheBucketForItsEnd(t *testing.T) {
	for _, lost := range []int{1, 0} {
		r := newColdOnlyRoot(t)
		r.close(t)
		chunks := chunkPaths(t, r.manifestDir())
		for _, chunk := range chunks[lost:] {
			must(t, os.Remove(chunk))
		}
		e, l := r.openForReading(t)
		if last, err := readPrefix(t.Context(), l); err != nil || last != 120 || l.State().AppendStop != nil {
			t.Errorf("without chunks %d on: read to %d: %v, %v", lost+1, last, err, l.State().AppendStop)
		}
		if state := l.State(); state.Recovery.Incomplete == "" || state.Recovery.AdoptedCold == 0 {
			t.Errorf("without chunks %d on: %+v", lost+1, state.Recovery)
		}
		must(t, e.Refresh())
		if last, err := readPrefix(t.Context(), l); err != nil || last != 120 {
			t.Errorf("without chunks %d on: read again to %d: %v", lost+1, last, err)
		}
		dir := strings.TrimPrefix(r.opts.Bucket, "file://")
		must(t, os.Rename(dir, dir+".away"))
		for _, empty := range []bool{false, true} { // a mount point, too, holds nothing
			if empty {
				must(t, os.Mkdir(dir, 0o700))
			}
			_, l = r.openForReading(t)
			state := l.State()
			if state.Recovery.BucketUnread == nil || !errors.Is(state.AppendStop, ErrNextSeqUnknown) {
				t.Errorf("without chunks %d on and without the bucket (empty: %v): %v, %v", lost+1, empty, state.Recovery.BucketUnread, state.AppendStop)
			}
		}
	}
}

// A crash between two chunks looks like a lost one until the bucket was asked.
func TestAReadOnlyLogWhoseManifestEndsBetweenTwoChunksIsWhole(t *testing.T) {
	r := newColdOnlyRoot(t).killed(t)
	r.close(t)
	chunks := chunkPaths(t, r.manifestDir())
	must(t, os.Remove(chunks[len(chunks)-1])) // in it nothing is said anew
	_, l := r.openForReading(t)
	last, err := readPrefix(t.Context(), l)
	if incomplete := l.State().Recovery.Incomplete; err != nil || last != 120 || incomplete != "" {
		t.Errorf("read to %d: %v; %q", last, err, incomplete)
	}
}

// What is lost says that the bucket was not asked, and why.
func TestAReadOnlyLogSaysThatTheBucketCouldNotBeAsked(t *testing.T) {
	for _, c := range []struct {
		name, told string
		lose       func(t *testing.T, r *tieredRoot)
	}{
		{"gone", "could not be asked", func(t *testing.T, r *tieredRoot) {
			must(t, os.RemoveAll(strings.TrimPrefix(r.opts.Bucket, "file://")))
		}},
		{"not named", "names no bucket", func(t *testing.T, r *tieredRoot) {
			root, err := readRoot(r.opts.FS, r.dir)
			must(t, err)
			root.Bucket = ""
			must(t, writeJSON(r.opts.FS, filepath.Join(r.dir, engineFileName), root))
			must(t, os.Remove(filepath.Join(newLogLayout(r.dir, "orders").dir, claimFileName)))
		}},
		{"claimed elsewhere", "has claimed an epoch", func(t *testing.T, r *tieredRoot) {
			root, err := readRoot(r.opts.FS, r.dir)
			must(t, err)
			root.Bucket = ""
			must(t, writeJSON(r.opts.FS, filepath.Join(r.dir, engineFileName), root))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newAbsentRoot(t)
			c.lose(t, r)
			must(t, os.RemoveAll(r.manifestDir()))
			_, l := r.openForReading(t)
			wantDamage(t, l, 1, 80, 50)
			if damaged := l.State().Recovery.Damaged[0]; !strings.Contains(damaged.Reason, c.told) {
				t.Errorf("the damage says %q", damaged.Reason)
			}
		})
	}
}

// An emptied bucket, or a mount point without what belongs there, is not one in
// which nothing is.
func TestAnEmptyBucketIsNoAnswerToALostManifest(t *testing.T) {
	r := newColdOnlyRoot(t)
	r.close(t)
	must(t, os.RemoveAll(r.manifestDir()))
	dir := strings.TrimPrefix(r.opts.Bucket, "file://")
	must(t, os.Rename(dir, dir+".away"))
	must(t, os.Mkdir(dir, 0o700))
	l := r.open(t)
	if state := l.State(); state.Recovery.BucketUnread == nil || !errors.Is(state.AppendStop, ErrNextSeqUnknown) {
		t.Errorf("opened with %v, %v", state.Recovery.BucketUnread, state.AppendStop)
	}
	r.close(t)
	must(t, os.Remove(dir))
	must(t, os.Rename(dir+".away", dir))
	l = r.open(t)
	if last, err := readPrefix(t.Context(), l); err != nil || last != 120 {
		t.Errorf("read to %d: %v", last, err)
	}
}
