package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// recordBytes names a byte of each part of a record.
func recordBytes(p placedRecord) map[string]int64 {
	body := p.at + segment.RecordHeaderBytes
	parts := map[string]int64{
		"checksum": p.at, "body length": p.at + 4, "high byte of the body length": p.at + 7, "seq": p.at + 8, "timestamp": p.at + 17,
		"ext id": p.at + 25, "unsynced": p.at + 32, "headers length": p.at + 36, "subject length": p.at + 40, "flags": p.at + 42,
		"header checksum": p.at + 45, "subject": body, "payload": body + int64(len(p.Subject)+len(p.Headers)), "end": p.end - 1,
	}
	if len(p.Headers) > 0 {
		parts["headers"] = body + int64(len(p.Subject)) + 3
	}
	return parts
}

// A flipped bit in a record costs that record and no other, wherever it lies.
func TestFlippedBitInARecordCostsThatRecordAlone(t *testing.T) {
	for _, closed := range []bool{true, false} {
		s := newSpecimen(t, closed)
		for number, file := range []int{0, 2, 3} {
			data := s.files[file].data()
			for i, p := range []placedRecord{data[0], data[specimenEach+2], data[len(data)-1]} {
				for part, at := range recordBytes(p) {
					if (number+i+len(part))%3 != 0 && part != "header checksum" && part != "body length" {
						continue // each part comes up in each kind of place, not in all
					}
					name := fmt.Sprintf("closed %v/segment %d/record %d/%s", closed, file, p.Seq, strings.ReplaceAll(part, " ", "-"))
					t.Run(name, func(t *testing.T) {
						// Behind the last record of a log that was killed nothing verifies.
						last := file == 3 && !closed && p.Seq == uint64(s.count)
						s.wantTollForGood(t, s.change(t, file, flipAt(at)), toll{first: p.Seq, last: p.Seq, beyond: last})
					})
				}
			}
		}
	}
}

// Damage to what the records are found by costs none of them, as long as one of
// header and footer is left.
func TestFlippedBitOutsideOfTheRecordsCostsNone(t *testing.T) {
	s := newSpecimen(t, true)
	for _, file := range []int{0, 2} {
		f := s.files[file]
		footer := f.bytes - segment.FooterBytes
		for name, at := range map[string]int64{
			"header magic": 0, "header version": 8, "header length": 10, "header flags": 12, "log id": 16, "segment id": 24, "base seq": 32, "created": 40,
			"salt": 56, "header checksum": 124, "seal mark": f.end - 20, "index version": f.end, "index section": f.end + 8, "frame": f.end + 30, "dictionary": footer - 30,
			"footer magic": footer, "footer version": footer + 8, "footer flags": footer + 12, "footer salt": footer + 32, "last seq": footer + 72,
			"index offset": footer + 136, "index checksum": footer + 153, "footer checksum": footer + 190,
		} {
			t.Run(fmt.Sprintf("segment %d/%s", file, strings.ReplaceAll(name, " ", "-")), func(t *testing.T) {
				s.wantTollForGood(t, s.change(t, file, flipAt(at)), noToll)
			})
		}
	}
	for _, p := range s.files[3].records {
		if p.control() {
			t.Run(fmt.Sprintf("mark at %d", p.at), func(t *testing.T) {
				s.wantTollForGood(t, s.change(t, 3, flipAt(p.at+9)), toll{first: 1, beyond: true})
			})
		}
	}
	t.Run("behind the close mark", func(t *testing.T) {
		s.wantTollForGood(t, s.change(t, 3, flipAt(s.files[3].bytes-100)), toll{first: 1, beyond: true})
	})
}

// The manifest has what header and footer had. Without it too, a segment has no
// salt, and nothing in it can be verified: all of it answers with the damage, and
// the log goes on above it.
func TestSegmentThatLostItsHeaderAndFooter(t *testing.T) {
	s := newSpecimen(t, true)
	for name, c := range map[string]struct {
		file   int
		change func([]byte) []byte
	}{
		"last, one bit":             {3, flipAt(40)},
		"last, all of the header":   {3, zeroed(0, segment.HeaderBytes)},
		"sealed, header and footer": {0, func(b []byte) []byte { return flipAt(20)(flipAt(int64(len(b)) - 9)(b)) }},
		"checked, header and footer": {2, func(b []byte) []byte {
			return zeroed(int64(len(b))-segment.FooterBytes, int64(len(b)))(zeroed(0, segment.HeaderBytes)(b))
		}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			f := s.files[c.file]
			root := s.change(t, c.file, c.change)
			contents, err := os.ReadFile(s.path(root, c.file))
			if err != nil {
				t.Fatal(err)
			}
			withManifest := filepath.Join(t.TempDir(), "copy")
			copyTree(t, root, withManifest)
			s.wantTollForGood(t, withManifest, noToll)
			if err := os.RemoveAll(newLogLayout(root, "orders").manifest); err != nil {
				t.Fatal(err)
			}
			s.wantTollForGood(t, root, toll{first: f.firstSeq(), last: f.lastSeq(), beyond: c.file == 3})
			if now, err := os.ReadFile(s.path(root, c.file)); err != nil || string(now) != string(contents) {
				t.Errorf("the damaged file was changed: %v", err)
			}
		})
	}
}

func zeroed(from, to int64) func([]byte) []byte {
	return func(contents []byte) []byte {
		clear(contents[from:to])
		return contents
	}
}

func TestFooterAndIndexAreBuiltAgain(t *testing.T) {
	s := newSpecimen(t, true)
	for _, file := range []int{0, 2} {
		f := s.files[file]
		for name, change := range map[string]func([]byte) []byte{
			"footer zeroed":            zeroed(f.bytes-segment.FooterBytes, f.bytes),
			"footer cut off":           func(b []byte) []byte { return b[:f.bytes-segment.FooterBytes] },
			"index zeroed":             zeroed(f.end, f.bytes-segment.FooterBytes),
			"index and footer cut off": func(b []byte) []byte { return b[:f.end] },
			"seal mark cut in two":     func(b []byte) []byte { return b[:f.end-24] },
			"seal mark cut off":        func(b []byte) []byte { return b[:f.end-segment.MarkBytes] },
			"truncation lost":          func(b []byte) []byte { return append(b, make([]byte, 5000)...) },
		} {
			t.Run(fmt.Sprintf("segment %d/%s", file, strings.ReplaceAll(name, " ", "-")), func(t *testing.T) {
				s.wantTollForGood(t, s.change(t, file, change), noToll)
			})
		}
	}
}

// A segment file that is not there is damage like any other, if those around it
// tell of it.
func TestMissingSegmentFileIsDamageAndNoEnd(t *testing.T) {
	s := newSpecimen(t, true)
	for _, file := range []int{1, 2} {
		root := filepath.Join(t.TempDir(), "copy")
		copyTree(t, s.root, root)
		if err := os.Remove(s.path(root, file)); err != nil {
			t.Fatal(err)
		}
		f := s.files[file]
		s.wantTollForGood(t, root, toll{first: f.firstSeq(), last: f.lastSeq()})
		l := openLogTest(t, openOnDisk(t, root, Options{}), smallSegments())
		if report := l.State().Recovery.Damaged; len(report) != 1 || report[0].FirstSeq != f.firstSeq() || report[0].LastSeq != f.lastSeq() {
			t.Errorf("the report says %v", report)
		}
		for _, follow := range []bool{true, false} {
			r, err := l.NewReader(ReadOptions{FromSeq: f.firstSeq() + 3, Follow: follow})
			if err != nil {
				t.Fatal(err)
			}
			var damage *DamageError
			if _, err := r.Next(shortly(t)); !errors.As(err, &damage) || damage.FirstSeq != f.firstSeq()+3 || damage.LastSeq != f.lastSeq() || damage.Segment != f.header.ID {
				t.Errorf("inside of the gap: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestReaderStopsAtDamageUnlessItIsAskedToSkip(t *testing.T) {
	s := newSpecimen(t, true)
	p := s.files[1].data()[10]
	l := openLogTest(t, openOnDisk(t, s.change(t, 1, flipAt(p.at+50)), Options{}), smallSegments())
	r, err := l.NewReader(ReadOptions{FromSeq: p.Seq - 2})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		var damage *DamageError
		_, err := r.Next(t.Context())
		if !errors.As(err, &damage) || damage.FirstSeq != p.Seq || damage.LastSeq != p.Seq || damage.Offset != p.at || damage.Bytes != p.end-p.at || damage.Segment != s.files[1].header.ID {
			t.Fatalf("damage is told as %v", err)
		}
		if !strings.Contains(err.Error(), s.files[1].name) {
			t.Errorf("the error does not name the file: %v", err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wantFirst := func(opts ReadOptions, first uint64) {
		t.Helper()
		opts.ToSeq = first
		if records := readAll(t, l, opts); len(records) != 1 || records[0].Seq != first {
			t.Errorf("%+v gives %d records", opts, len(records))
		}
	}
	wantFirst(ReadOptions{FromSeq: p.Seq + 1}, p.Seq+1)
	wantFirst(ReadOptions{FromRecordID: NewRecordID(s.files[1].header.ID, p.end)}, p.Seq+1)
	if _, err := l.NewReader(ReadOptions{FromRecordID: NewRecordID(s.files[1].header.ID, p.at)}); !errors.Is(err, ErrNotFound) {
		t.Errorf("the id of a damaged record: %v", err)
	}
}

// What no rule can decide: a sector of zeros in the last batch, which nothing
// behind it proves to have been synced. It is cut, reported and kept. A mark
// behind it turns it into damage.
func TestZeroedSectorInTheLastBatchIsCutAndKept(t *testing.T) {
	killed := newSpecimen(t, false)
	p := killed.files[3].data()[2*specimenEach-1]
	root := killed.change(t, 3, zeroed(p.at, p.at+segment.RecordHeaderBytes))
	l := openLogTest(t, openOnDisk(t, root, Options{}), smallSegments())
	if last := l.Watermarks().Durable; last != p.Seq-1 {
		t.Errorf("last %d, want %d", last, p.Seq-1)
	}
	cuts := l.State().Recovery.Cut
	if len(cuts) != 1 || cuts[0].Offset != p.at || cuts[0].Segment != killed.files[3].header.ID || cuts[0].AtomicBatch {
		t.Fatalf("the report says %+v", cuts)
	}
	kept, err := os.ReadFile(cuts[0].QuarantinePath)
	if err != nil {
		t.Fatal(err)
	}
	if tail := kept[segment.RecordHeaderBytes:]; !strings.Contains(string(tail), string(payloadOf(int(p.Seq)))) || int64(len(kept)) != cuts[0].Bytes {
		t.Errorf("%d bytes are kept: %q", len(kept), kept)
	}
	var reason quarantineReason
	text, err := os.ReadFile(strings.TrimSuffix(cuts[0].QuarantinePath, ".bytes") + ".reason.json")
	if err = errors.Join(err, json.Unmarshal(text, &reason)); err != nil || reason.Offset != p.at || reason.Segment != cuts[0].Segment || reason.Bytes != cuts[0].Bytes {
		t.Errorf("the reason is %+v, %v", reason, err)
	}

	closed := newSpecimen(t, true)
	p = closed.files[3].data()[2*specimenEach-1]
	closed.wantTollForGood(t, closed.change(t, 3, zeroed(p.at, p.at+segment.RecordHeaderBytes)), toll{first: p.Seq, last: p.Seq})
}

// A record, header or footer that verifies and that this version does not
// understand is not damage: it is left alone.
func TestWhatANewerVersionWroteIsLeftAlone(t *testing.T) {
	s := newSpecimen(t, true)
	unknownRecord := func(b []byte) []byte {
		p := s.files[0].data()[5]
		rec := p.Record
		rec.Flags |= 1 << 6
		copy(b[p.at:], segment.AppendRecord(nil, s.files[0].header.Salt, &rec))
		return b
	}
	root := s.change(t, 0, unknownRecord)
	e := openOnDisk(t, root, Options{})
	if _, err := e.OpenLog("orders", smallSegments()); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("with the record in the dedup window: %v", err)
	}
	opts := smallSegments()
	opts.Dedup.Window = 1
	l := openLogTest(t, e, opts)
	r, err := l.NewReader(ReadOptions{SkipDamaged: func(d *DamageError) { t.Errorf("called damage: %v", d) }})
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); ; seq++ {
		rec, err := inTime(t, r)
		if err == nil && rec.Seq == seq && seq < 6 {
			continue
		}
		if !errors.Is(err, ErrNewerFormat) || seq != 6 {
			t.Fatalf("record %d: %v", seq, err)
		}
		break
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wantRest := s.files[0].data()[6].Seq
	if records := readAll(t, l, ReadOptions{FromSeq: wantRest, ToSeq: wantRest}); len(records) != 1 {
		t.Errorf("%d records behind it", len(records))
	}

	for name, c := range map[string]struct {
		file   int
		change func([]byte) []byte
	}{
		"header flags":  {3, newerHeader(s, 3)},
		"sealed header": {0, newerHeader(s, 0)},
		"footer flags": {2, func(b []byte) []byte {
			at := len(b) - segment.FooterBytes
			footer, err := segment.DecodeFooter(b[at:])
			if err != nil {
				t.Fatal(err)
			}
			footer.Flags |= 1 << 9
			footer.Encode((*[segment.FooterBytes]byte)(b[at:]))
			return b
		}},
	} {
		root := s.change(t, c.file, c.change)
		before := hashTree(t, filepath.Join(root, logsDirName))
		e := openOnDisk(t, root, Options{})
		if _, err := e.OpenLog("orders", smallSegments()); !errors.Is(err, ErrNewerFormat) {
			t.Errorf("%s: %v", name, err)
		}
		if after := hashTree(t, filepath.Join(root, logsDirName)); after != before {
			t.Errorf("%s: the log was changed", name)
		}
	}
}

func newerHeader(s *specimen, file int) func([]byte) []byte {
	return func(b []byte) []byte {
		header := s.files[file].header
		header.Flags |= 1 << 3
		header.Encode((*[segment.HeaderBytes]byte)(b))
		return b
	}
}

// inTime is Next for a reader that may never return.
func inTime(t *testing.T, r *Reader) (Record, error) {
	t.Helper()
	type result struct {
		rec Record
		err error
	}
	got := ends(t, "Next", inBackground(func() result {
		rec, err := r.Next(shortly(t))
		return result{rec, err}
	}))
	return got.rec, got.err
}

// The last segment, a sealed one and one that recovery checks are cut off at
// every length. What is left of the records in front is read, what other places
// prove is called damaged, and the log goes on.
func TestSegmentThatIsTruncatedAtAnyLength(t *testing.T) {
	closed, killed := newSpecimen(t, true), newSpecimen(t, false)
	for _, c := range []struct {
		s    *specimen
		file int
	}{{closed, 0}, {closed, 2}, {closed, 3}, {killed, 3}} {
		f := c.s.files[c.file]
		for length := int64(0); length <= min(f.bytes, f.end+700); length += 71 { // each remainder of 8 comes up
			c.s.truncated(t, c.file, length)
		}
	}
}

func (s *specimen) truncated(t *testing.T, file int, length int64) {
	t.Helper()
	f := s.files[file]
	disk := s.onMemory(t, file, length)
	l, err := openManualLog(disk, smallSegments())
	if err != nil {
		t.Fatalf("segment %d at %d: %v", file, length, err)
	}
	want := toll{first: uint64(s.count) + 1, last: uint64(s.count), beyond: file == 3}
	headerGone := length < segment.HeaderBytes
	for _, p := range f.data() {
		if p.end > length || headerGone {
			want.first, want.last = p.Seq, f.lastSeq()
			break
		}
	}
	s.wantToll(t, l, want)
	last := l.Watermarks().Durable
	if last < uint64(s.count) {
		t.Fatalf("segment %d at %d: %d of %d", file, length, last, s.count)
	}
	if _, err := l.Append(numbered(1)); err != nil {
		t.Fatal(err)
	}
	commitManual(t, l)
	if records := readAll(t, l, ReadOptions{FromSeq: last + 1}); len(records) != 1 {
		t.Fatalf("segment %d at %d: %d records were appended", file, length, len(records))
	}
	disk.ProcessCrash()
}

// onMemory copies the specimen onto a disk in memory, one file cut off.
func (s *specimen) onMemory(t *testing.T, file int, length int64) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem(1)
	layout := newLogLayout(simRoot, "orders")
	for _, dir := range []string{layout.segments, layout.quarantine} {
		if err := vfs.MkdirAllSync(disk, dir); err != nil {
			t.Fatal(err)
		}
	}
	put := func(to, from string, length int64) {
		contents, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileAtomic(disk, to, contents[:min(length, int64(len(contents)))]); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(simRoot, engineFileName), filepath.Join(s.root, engineFileName), 1<<30)
	put(layout.logFile(), newLogLayout(s.root, "orders").logFile(), 1<<30)
	for i := range s.files {
		end := int64(1 << 30)
		if i == file {
			end = length
		}
		put(filepath.Join(layout.segments, s.files[i].name), s.path(s.root, i), end)
	}
	return disk
}
