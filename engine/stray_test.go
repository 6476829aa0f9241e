package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// putCopy puts a changed copy of a segment file under another name beside it.
func (s *specimen) putCopy(t *testing.T, root string, file int, change func(name *segmentName, contents []byte)) string {
	t.Helper()
	from := s.path(root, file)
	contents, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := parseSegmentName(filepath.Base(from))
	change(&name, contents)
	to := filepath.Join(filepath.Dir(from), name.String())
	if err := os.WriteFile(to, contents, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// newHeader gives a copy a header that says what its name does.
func newHeader(name *segmentName, contents []byte) {
	header, err := segment.DecodeHeader(contents)
	if err != nil {
		panic(err)
	}
	header.ID, header.BaseSeq, header.Created = name.id, name.baseSeq, name.created
	header.Encode((*[segment.HeaderBytes]byte)(contents))
}

// strays are files that somebody put into a log's directory: the file that is
// copied, and the name and content of the copy.
var strays = map[string]struct {
	file   int
	change func(name *segmentName, contents []byte)
	// bare says that the manifest is gone.
	bare bool
}{
	"under a later id":                        {file: 1, change: func(name *segmentName, _ []byte) { name.id = 99 }},
	"under a later id and base":               {file: 1, change: func(name *segmentName, _ []byte) { name.id, name.baseSeq = 99, 5000 }},
	"under another base":                      {file: 1, change: func(name *segmentName, _ []byte) { name.baseSeq++ }},
	"under another time":                      {file: 1, change: func(name *segmentName, _ []byte) { name.created++ }},
	"under an earlier time":                   {file: 3, change: func(name *segmentName, _ []byte) { name.created-- }},
	"an older state of the active segment":    {file: 3, change: func(name *segmentName, b []byte) { name.created++; clear(b[len(b)/3:]) }},
	"of another segment of the log":           {file: 0, change: func(name *segmentName, b []byte) { name.id = 99; newHeader(name, b) }},
	"of the same segment with another header": {file: 3, change: func(name *segmentName, b []byte) { name.created++; newHeader(name, b) }},
	"under a later id, without a manifest":    {file: 1, bare: true, change: func(name *segmentName, _ []byte) { name.id = 99 }},
	"under another time, without a manifest":  {file: 3, bare: true, change: func(name *segmentName, _ []byte) { name.created-- }},
	"under another base, without a manifest":  {file: 2, bare: true, change: func(name *segmentName, _ []byte) { name.baseSeq-- }},
}

// A file that is not the log's is put aside, and costs the log nothing.
func TestAStrayCopyOfASegmentFileIsPutAside(t *testing.T) {
	s := newSpecimen(t, true)
	for what, stray := range strays {
		t.Run(what, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "copy")
			copyTree(t, s.root, root)
			if stray.bare {
				if err := os.RemoveAll(newLogLayout(root, "orders").manifest); err != nil {
					t.Fatal(err)
				}
			}
			path := s.putCopy(t, root, stray.file, stray.change)
			ro, err := OpenReadOnly(root)
			if err != nil {
				t.Fatal(err)
			}
			l := openLogTest(t, ro, LogOptions{})
			s.wantToll(t, l, noToll)
			if left := l.State().Recovery.Contradicting; len(left) != 1 || left[0].Path != path || left[0].Reason == "" {
				t.Errorf("a read-only open leaves out %+v", left)
			}
			if err := ro.Close(); err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				e := openOnDisk(t, root, Options{})
				l := openLogTest(t, e, smallSegments())
				s.wantToll(t, l, noToll)
				put := l.State().Recovery.Quarantined
				if round == 0 && (len(put) != 1 || put[0].Reason == "" || len(l.State().Recovery.Damaged) > 0) || round == 1 && len(put) > 0 {
					t.Fatalf("open %d put aside %+v, damaged %v", round+1, put, l.State().Recovery.Damaged)
				}
				if round == 0 {
					wantFile(t, put[0].Path)
					wantFile(t, put[0].Path+".reason.json")
				}
				if seq, err := l.AppendSync(t.Context(), numbered(1)); err != nil || seq != uint64(s.count+round+1) {
					t.Errorf("append: %d, %v", seq, err)
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}

func wantFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// Where two files are the same segment by all that they say, and no manifest knows
// better, somebody has to choose.
func TestTwoFilesThatMayBothBeTheSegmentStopAnOpen(t *testing.T) {
	s := newSpecimen(t, true)
	for what, change := range map[string]func(name *segmentName){
		"one id":            func(name *segmentName) { name.created++ },
		"in opposite order": func(name *segmentName) { name.id, name.baseSeq = 99, 2 },
	} {
		root := s.withoutManifest(t)
		path := s.putCopy(t, root, 3, func(name *segmentName, b []byte) { change(name); newHeader(name, b) })
		e := openOnDisk(t, root, Options{})
		before := hashTree(t, newLogLayout(root, "orders").segments)
		_, err := e.OpenLog("orders", smallSegments())
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(path)[:60]) || !strings.Contains(err.Error(), "move") {
			t.Errorf("%s: %v", what, err)
		}
		if hashTree(t, newLogLayout(root, "orders").segments) != before {
			t.Errorf("%s: the refused open changed the files", what)
		}
		if err := os.Rename(path, filepath.Join(root, "kept")); err != nil {
			t.Fatal(err)
		}
		s.wantToll(t, openLogTest(t, e, smallSegments()), noToll)
	}
}
