package segment

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// golden compares bytes with a file in testdata. The files are the format: a
// change of them is a change of what every reader in the world must understand.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: bytes differ\ngot\n%s\nwant\n%s", name, hexDump(got), hexDump(want))
	}
}

func TestGoldenHeader(t *testing.T) {
	want := testHeader()
	want.AllocatedBytes = 64 << 20
	b := encodedHeader(want)
	golden(t, "header.bin", b)
	if h, err := DecodeHeader(b); err != nil || h != want {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestGoldenFooter(t *testing.T) {
	b := encodedFooter(testFooter())
	golden(t, "footer.bin", b)
	if f, err := DecodeFooter(b); err != nil || f != testFooter() {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestGoldenRecords(t *testing.T) {
	full := Record{
		Seq: 0x0102030405060708, Timestamp: 0x1112131415161718, ExtID: 0x2122232425262728, Unsynced: 0x31323334,
		Flags: FlagSnapshotBoundary | FlagBatchContinues, Subject: []byte("orders.eu.7"), Payload: []byte("thirteen odds"),
	}
	empty := full
	empty.Payload = nil
	headers := full
	headers.Headers = []byte("Nats-Msg-Id: 42\r\nTrace: a\r\nTrace: b\r\n")
	for name, want := range map[string]Record{"record_odd.bin": full, "record_empty_payload.bin": empty, "record_headers.bin": headers} {
		b := AppendRecord(nil, testSalt, &want)
		golden(t, name, b)
		var got Record
		if n, err := DecodeRecord(b, testSalt, &got); err != nil || n != len(b) || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestGoldenControlRecords(t *testing.T) {
	const at, lastSeq, unsynced, timestamp = 1000, 41, 256, 1700000000000000000
	for name, b := range map[string][]byte{
		"mark_durable_pair.bin": AppendMarkPair(nil, at, testSalt, DurableMark, lastSeq, unsynced, timestamp),
		"mark_close_pair.bin":   AppendMarkPair(nil, at, testSalt, CloseMark, lastSeq, unsynced, timestamp),
		"mark_epoch.bin":        AppendEpochMark(nil, testSalt, lastSeq, unsynced, timestamp, 9),
		"mark_seal.bin":         AppendSealMark(nil, testSalt, lastSeq, unsynced, timestamp),
	} {
		golden(t, name, b)
		var last Record
		for rest := b; len(rest) > 0; {
			n, err := DecodeRecord(rest, testSalt, &last)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rest = rest[n:]
		}
		want := map[string]ControlKind{
			"mark_durable_pair.bin": DurableMark, "mark_close_pair.bin": CloseMark, "mark_epoch.bin": EpochMark, "mark_seal.bin": SealMark,
		}[name]
		if kind, ok := last.Control(); !ok || kind != want || last.Seq != lastSeq {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

func TestGoldenSealedSegments(t *testing.T) {
	dictionary := sampleBuilder()
	filters := newBuilder()
	for i := range 60 {
		filters.record(fmt.Sprintf("subject.number.%d", i), fill(i%7), 0)
	}
	for name, c := range map[string]struct {
		w       *builder
		exact   bool
		present string
	}{
		"segment_dictionary.seg": {dictionary, true, "invoices"},
		"segment_filters.seg":    {filters, false, "subject.number.17"},
	} {
		file := c.w.sealed()
		golden(t, name, file)
		h, err := DecodeHeader(file)
		if err != nil || h != c.w.header {
			t.Fatalf("%s: %+v, %v", name, h, err)
		}
		f, at, ok := FindFooter(file, h.LogID, h.ID)
		if !ok || f.LastSeq != c.w.next-1 || f.Count != f.LastSeq-f.FirstSeq+1 || f.SegmentCRC64 != CRC64(file[:f.IndexOffset]) {
			t.Fatalf("%s: %+v", name, f)
		}
		x, err := f.Index(file[f.IndexOffset:at])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, present, exact := x.Lookup(c.present); !present || exact != c.exact {
			t.Errorf("%s: present %v, exact %v", name, present, exact)
		}
		r := scanned(t, file, h, Known{})
		if !r.Sealed || r.Damaged() || r.LastSeq != f.LastSeq || r.RecordsEnd != int64(f.IndexOffset) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A segment that a crash cut and recovery ended: a damaged record in its
// middle, the seal mark at the cut.
func TestGoldenPartialSegment(t *testing.T) {
	w := sampleBuilder()
	b := w.padded(512)
	b[w.at(1).offset+70] ^= 1
	clear(b[w.at(-1).offset:])
	r := scanned(t, b, w.header, Known{})
	records := AppendSealMark(cloneBytes(b[:r.RecordsEnd]), w.header.Salt, r.LastSeq, 0, w.clock)
	last := &r.Extents[len(r.Extents)-1]
	last.End = int64(len(records))
	file := finish(records, w.header, r.Extents, FooterPartial)
	golden(t, "segment_partial.seg", file)

	f, at, ok := FindFooter(file, w.header.LogID, w.header.ID)
	if !ok || f.Flags != FooterSealed|FooterPartial || f.LastSeq != w.next-2 || f.Count != f.LastSeq-f.FirstSeq {
		t.Fatalf("%+v", f)
	}
	if x, err := f.Index(file[f.IndexOffset:at]); err != nil || !x.Damaged() {
		t.Errorf("%v", err)
	}
	known := Known{RecordsEnd: int64(f.IndexOffset), LastSeq: f.LastSeq, Complete: true}
	wantDamage(t, scanned(t, file, w.header, known), w.at(1).offset, w.at(1).end, w.at(1).seq, w.at(1).seq)
}

// The check value of CRC-64/NVME in the catalogue of parametrised CRCs.
func TestCRC64IsNVME(t *testing.T) {
	const want = 0xae8b14860a799888
	if got := CRC64([]byte("123456789")); got != want {
		t.Errorf("%#x, want %#x", got, uint64(want))
	}
	if got := UpdateCRC64(UpdateCRC64(0, []byte("1234")), []byte("56789")); got != want {
		t.Errorf("in two steps %#x, want %#x", got, uint64(want))
	}
	if crc32c([]byte("123456789")) != 0xe3069283 {
		t.Error("not CRC-32C")
	}
}
