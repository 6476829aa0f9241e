package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// withoutManifest is a copy of a specimen that has lost its manifest.
func (s *specimen) withoutManifest(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "copy")
	copyTree(t, s.root, root)
	if err := os.RemoveAll(newLogLayout(root, "orders").manifest); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestSegmentFilesWithoutAManifestAreAdopted(t *testing.T) {
	s := newSpecimen(t, true)
	root := s.withoutManifest(t)
	l := openLogTest(t, openOnDisk(t, root, Options{}), smallSegments())
	s.wantToll(t, l, noToll)
	if adopted := l.State().Recovery.Adopted; adopted != len(s.files) {
		t.Errorf("%d files were adopted of %d", adopted, len(s.files))
	}
	state := l.journal.state()
	for i, f := range s.files {
		entry := state.Segment(f.header.ID)
		if entry == nil || entry.BaseSeq != f.firstSeq() || entry.Salt != f.header.Salt || entry.Sealed != (i < len(s.files)-1) {
			t.Errorf("segment %d is %+v in the manifest", f.header.ID, entry)
		}
	}
}

// rename gives a segment file of a copy another name.
func (s *specimen) rename(t *testing.T, root string, file int, change func(*segmentName)) string {
	t.Helper()
	from := s.path(root, file)
	name, _ := parseSegmentName(filepath.Base(from))
	change(&name)
	to := filepath.Join(filepath.Dir(from), name.String())
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestSegmentFileThatContradictsTheManifestIsPutAside(t *testing.T) {
	s := newSpecimen(t, true)
	f := s.files[1]
	for what, plant := range map[string]func(root string){
		"another base sequence in its name": func(root string) {
			s.rename(t, root, 1, func(name *segmentName) { name.baseSeq++ })
		},
		"another salt": func(root string) {
			contents, err := os.ReadFile(s.path(root, 1))
			if err != nil {
				t.Fatal(err)
			}
			header := f.header
			header.Salt++
			header.Encode((*[128]byte)(contents))
			if err := os.WriteFile(s.path(root, 1), contents, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		root := filepath.Join(t.TempDir(), "copy")
		copyTree(t, s.root, root)
		plant(root)
		l := openLogTest(t, openOnDisk(t, root, Options{}), smallSegments())
		s.wantToll(t, l, toll{first: f.firstSeq(), last: f.lastSeq()})
		put := l.State().Recovery.Quarantined
		if len(put) != 1 || put[0].Segment != f.header.ID || put[0].Reason == "" {
			t.Fatalf("%s: put aside: %+v", what, put)
		}
		if info, err := os.Stat(put[0].Path); err != nil || info.Size() != f.bytes {
			t.Errorf("%s: what was put aside is not whole: %v", what, err)
		}
		if _, err := os.Stat(put[0].Path + ".reason.json"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSegmentThatTheManifestHasAndNoFileIsDamage(t *testing.T) {
	s := newSpecimen(t, true)
	for file, f := range s.files {
		root := filepath.Join(t.TempDir(), "copy")
		copyTree(t, s.root, root)
		if err := os.Remove(s.path(root, file)); err != nil {
			t.Fatal(err)
		}
		e := openOnDisk(t, root, Options{})
		l := openLogTest(t, e, smallSegments())
		first := toll{first: f.firstSeq(), last: f.lastSeq()}
		if file == len(s.files)-1 {
			first.beyond = true // what the manifest knows is how far the records reached
		}
		s.wantToll(t, l, first)
		if seq, err := l.AppendSync(t.Context(), &Record{Payload: []byte("goes on")}); err != nil || seq <= f.lastSeq() && file == len(s.files)-1 {
			t.Errorf("append: %d, %v", seq, err)
		}
		if damaged := l.State().Recovery.Damaged; len(damaged) != 1 || !strings.Contains(damaged[0].Error(), "missing") {
			t.Errorf("segment %d: the report says %v", f.header.ID, damaged)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What the log acts on is recorded: a manifest that cannot be written ends the
// log's life as a writer, and what it said before stays true.
func TestAManifestThatCannotBeWrittenPoisonsTheLog(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem(1))
	e := openOnDisk(t, simRoot, Options{FS: disk})
	l := openLogTest(t, e, smallSegments())
	appendMany(t, l, 1, 20)
	broken := disk.Add(vfs.Rule{Op: vfs.OpSyncData, PathPattern: "manifest/*", Err: errIO})
	if err := l.Seal(t.Context()); !errors.Is(err, ErrPoisoned) {
		t.Fatalf("seal: %v", err)
	}
	if _, err := l.Append(&Record{Payload: []byte("x")}); !errors.Is(err, ErrPoisoned) || !errors.Is(err, manifest.ErrPoisoned) {
		t.Errorf("append: %v", err)
	}
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 20)
	broken.Remove()
	if err := e.Close(); !errors.Is(err, ErrPoisoned) {
		t.Errorf("close: %v", err)
	}
	e = openOnDisk(t, simRoot, Options{FS: disk})
	l = openLogTest(t, e, smallSegments())
	wantRecords(t, readAll(t, l, ReadOptions{}), 1, 20)
	if entry := l.journal.state().Segment(1); entry == nil || !entry.Sealed {
		t.Errorf("segment 1 is %+v", entry)
	}
}
