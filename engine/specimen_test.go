package engine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// A specimen is a log on a real directory, of which copies are damaged.

// specimen has four segments: two that are sealed and trusted by their footers,
// one sealed that recovery checks, and the last, which is not sealed.
type specimen struct {
	root  string
	count int // records 1..count, all acked
	files []specimenFile
}

type specimenFile struct {
	name    string
	header  segment.Header
	records []placedRecord
	end     int64 // behind the last record of any kind
	bytes   int64
}

// placedRecord is a record, data or control, and where it lies.
type placedRecord struct {
	segment.Record
	at, end int64
}

func (p *placedRecord) control() bool { return p.Flags&segment.FlagControl != 0 }

// numberedWithHeaders is the record that wantRecords expects at n, every third
// one with headers.
func numberedWithHeaders(n int) *Record {
	rec := numbered(n)
	if n%3 == 0 {
		rec.Headers = []byte("Key: value\r\nOther: one more value\r\n")
	}
	return rec
}

const specimenEach = 25

// newSpecimen makes a log that was closed, or killed.
func newSpecimen(t *testing.T, closed bool) *specimen {
	t.Helper()
	made := &specimen{root: filepath.Join(t.TempDir(), "made")}
	live := filepath.Join(t.TempDir(), "live")
	for owner := range 8 { // two owners a segment, so that there are epoch marks
		e := openOnDisk(t, live, Options{})
		l := openLogTest(t, e, smallSegments())
		for range specimenEach {
			made.count++
			if _, err := l.AppendSync(t.Context(), numberedWithHeaders(made.count)); err != nil {
				t.Fatal(err)
			}
		}
		if owner%2 == 1 && owner < 7 {
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if owner == 7 && !closed {
			copyTree(t, live, made.root)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if closed {
		copyTree(t, live, made.root)
	}
	for _, path := range segmentFiles(t, vfs.OS(), made.root) {
		made.files = append(made.files, dissect(t, path))
	}
	if len(made.files) != 4 {
		t.Fatalf("%d segments", len(made.files))
	}
	return made
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// dissect reads what lies in a segment file.
func dissect(t *testing.T, path string) specimenFile {
	t.Helper()
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := specimenFile{name: filepath.Base(path), end: segment.HeaderBytes, bytes: int64(len(contents))}
	if f.header, err = segment.DecodeHeader(contents); err != nil {
		t.Fatal(err)
	}
	for {
		p := placedRecord{at: f.end}
		n, err := segment.DecodeRecord(contents[f.end:], f.header.Salt, &p.Record)
		if err != nil {
			return f
		}
		f.end += int64(n)
		p.end = f.end
		f.records = append(f.records, p)
	}
}

func (f *specimenFile) data() []placedRecord {
	return slices.DeleteFunc(slices.Clone(f.records), func(p placedRecord) bool { return p.control() })
}

func (f *specimenFile) firstSeq() uint64 { return f.header.BaseSeq }
func (f *specimenFile) lastSeq() uint64  { data := f.data(); return data[len(data)-1].Seq }

// path is where a file of the specimen lies in a copy of it.
func (s *specimen) path(root string, file int) string {
	return filepath.Join(newLogLayout(root, "orders").segments, s.files[file].name)
}

// change copies the specimen, changes a file of the copy and returns its root.
func (s *specimen) change(t *testing.T, file int, change func(contents []byte) []byte) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "copy")
	copyTree(t, s.root, root)
	path := s.path(root, file)
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func flipAt(at int64) func([]byte) []byte {
	return func(contents []byte) []byte {
		contents[at] ^= 0x10
		return contents
	}
}

// toll is what damage may cost.
type toll struct {
	first, last uint64 // these sequences answer with the damage, and no others
	// beyond: numbers above the last record that never existed may be among
	// them, as the size of a record that is gone is not known.
	beyond bool
	// ends, if not 0: reading may end in front of this sequence or of any
	// behind it.
	ends uint64
}

func (w toll) names(seq uint64) bool { return w.first <= seq && seq <= w.last }

var noToll = toll{first: 1, last: 0}

// wantToll reads all of a log and checks what of it is damaged.
func (s *specimen) wantToll(t *testing.T, l *Log, want toll) {
	t.Helper()
	var damage []*DamageError
	records := readAll(t, l, ReadOptions{ToSeq: uint64(s.count), SkipDamaged: func(d *DamageError) { damage = append(damage, d) }})
	next := 1
	for _, rec := range records {
		for want.names(uint64(next)) {
			next++
		}
		expect := numberedWithHeaders(next)
		if rec.Seq != uint64(next) || string(rec.Payload) != string(expect.Payload) || string(rec.Subject) != string(expect.Subject) || string(rec.Headers) != string(expect.Headers) {
			t.Fatalf("read %d where %d was expected, toll %+v, damage %v", rec.Seq, next, want, damage)
		}
		next++
	}
	for next <= s.count && want.names(uint64(next)) {
		next++
	}
	if next != s.count+1 && (want.ends == 0 || uint64(next) < want.ends) {
		t.Fatalf("reading ended in front of %d, toll %+v, damage %v", next, want, damage)
	}
	reported := noToll
	for _, d := range damage {
		if !errors.Is(d, ErrDamaged) || d.Log != "orders" || d.Path == "" || d.Reason == "" {
			t.Errorf("damage that says little: %+v", d)
		}
		for seq := d.FirstSeq; seq <= d.LastSeq; seq++ {
			if !want.names(seq) && !(want.beyond && seq > uint64(s.count)) {
				t.Errorf("sequence %d is called damaged, toll %+v", seq, want)
			}
		}
		if d.LastSeq >= d.FirstSeq && reported == noToll {
			reported.first = d.FirstSeq
		}
		if d.LastSeq >= d.FirstSeq {
			reported.last = d.LastSeq
		}
	}
	if want.first <= want.last && want.ends == 0 && (reported.first != want.first || reported.last < want.last) {
		t.Errorf("damage names %d to %d, toll %+v", reported.first, reported.last, want)
	}
}

// wantTollForGood opens a damaged copy, read-only and then for writing, checks
// the toll, appends, and checks that a reopen finds the same.
func (s *specimen) wantTollForGood(t *testing.T, root string, want toll) {
	t.Helper()
	s.readReadOnly(t, root, want)
	var appended uint64
	for round := range 2 {
		e := openOnDisk(t, root, Options{})
		l := openLogTest(t, e, smallSegments())
		last := l.Watermarks().Durable
		if round == 1 && last != appended {
			t.Fatalf("a reopen found %d records, there were %d", last, appended)
		}
		if last < uint64(s.count) && want.ends == 0 || last > uint64(s.count) && round == 0 && !want.beyond {
			t.Fatalf("last %d of %d, toll %+v", last, s.count, want)
		}
		s.wantToll(t, l, want)
		if seq, err := l.AppendSync(t.Context(), &Record{Payload: []byte("behind the damage")}); err != nil || seq != last+1 {
			t.Fatalf("append behind %d: %d, %v", last, seq, err)
		}
		if records := readAll(t, l, ReadOptions{FromSeq: last + 1}); len(records) != 1 || string(records[0].Payload) != "behind the damage" {
			t.Fatalf("%d records behind the damage", len(records))
		}
		appended = last + 1
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// readReadOnly checks that a read-only open returns nothing wrong and calls
// nothing damaged that is not: it may end earlier.
func (s *specimen) readReadOnly(t *testing.T, root string, want toll) {
	t.Helper()
	before := hashTree(t, root)
	e, err := OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	l := openLogTest(t, e, LogOptions{})
	want.ends = s.files[3].firstSeq() // what nothing proves to be durable is not shown
	s.wantToll(t, l, want)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if after := hashTree(t, root); after != before {
		t.Error("a read-only open changed the root")
	}
}

// bytesToFlip are the offsets below end that a test flips one by one, in turn:
// those that it wants, and under the race detector every flipStride-th of them.
func bytesToFlip(end int, wanted func(at int) bool) []int {
	var chosen []int
	count := 0
	for at := range end {
		if !wanted(at) {
			continue
		}
		if count%flipStride == 0 {
			chosen = append(chosen, at)
		}
		count++
	}
	return chosen
}
