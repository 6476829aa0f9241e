package manifest

// This file pins bytes: one record of every type, a chunk, a snapshot. The files
// in testdata are also what a second implementation is tested with.

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// exampleOf fills every field of a payload with a value of its own.
func exampleOf(t RecordType) Payload {
	payload := newPayload(t)
	n := uint64(t) * 100
	fill(reflect.ValueOf(payload).Elem(), &n)
	return payload
}

func fill(v reflect.Value, n *uint64) {
	for i := range v.NumField() {
		field := v.Field(i)
		*n++
		switch name := v.Type().Field(i).Name; {
		case name == "Extra" || !field.CanSet():
		case name == "Subjects":
			field.Set(reflect.ValueOf(NewSubjectSummary([]string{"orders.eu.1", "orders.eu.2", "orders.us"})))
		case name == "Source":
			field.SetUint(uint64(TierCold))
		case name == "Tier" || name == "Target":
			field.SetUint(uint64(TierWarm))
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
		case field.Kind() == reflect.String:
			field.SetString(fmt.Sprintf("%s/%d", strings.ToLower(name), *n))
		case field.Kind() == reflect.Struct:
			fill(field, n)
		case field.Kind() == reflect.Slice:
			field.SetBytes([]byte{byte(*n), 0, 255})
		case field.CanInt():
			field.SetInt(-int64(*n))
		default:
			field.SetUint(*n)
		}
	}
}

func exampleTypes() []RecordType {
	types := []RecordType{TypeUserFirst + 7, RecordType(len(recordKinds)) + 900}
	for _, info := range RecordTypes() {
		types = append(types, info.Type)
	}
	return types
}

func exampleRecord(kind RecordType) Record {
	r := Record{Flags: 0x8000, LogicalOffset: 4096, TimestampNs: 1_700_000_000_000_000_000 + int64(kind), Ordinal: 1 + uint64(kind), Payload: exampleOf(kind)}
	if !kind.Known() {
		r.Payload = &Raw{Type: kind, Bytes: []byte("anything")}
	} else if recordKinds[kind].scope != ScopeLog {
		r.SegmentID = 12
	}
	return r
}

func TestEveryRecordTypeKeepsItsBytes(t *testing.T) {
	var text bytes.Buffer
	for _, kind := range exampleTypes() {
		r := exampleRecord(kind)
		b, err := EncodeRecord(nil, &r)
		must(t, err)
		finishRecord(b, 40)
		r.UnsyncedBytes = 40
		got, length, err := DecodeRecord(append(b, 1, 2, 3))
		must(t, err)
		if length != len(b) || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: decoded %+v from %d bytes, encoded %+v to %d", kind, got, length, r, len(b))
		}
		fmt.Fprintf(&text, "%s\n", kind)
		for _, field := range DescribePayload(r.Payload) {
			fmt.Fprintf(&text, "  %s %s = %s\n", field.Type, field.Name, fieldText(field.Value))
		}
		fmt.Fprintf(&text, "  %s\n\n", hex.EncodeToString(b))
	}
	compareGolden(t, "records.txt", text.Bytes())
}

func fieldText(value any) string {
	if b, ok := value.([]byte); ok {
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%v", value)
}

func TestUnknownBytesAtTheEndOfAPayloadAreKept(t *testing.T) {
	for _, info := range RecordTypes() {
		payload := exampleOf(info.Type)
		reflect.ValueOf(payload).Elem().FieldByName("Extra").SetBytes([]byte("from later"))
		b, err := encodeStructure(nil, payload)
		must(t, err)
		again := newPayload(info.Type)
		must(t, decodeStructure(b, again))
		if !reflect.DeepEqual(again, payload) {
			t.Errorf("%s: %+v became %+v", info.Name, payload, again)
		}
		bare, err := encodeStructure(nil, exampleOf(info.Type))
		must(t, err)
		for cut := range bare {
			if err := decodeStructure(bare[:cut], newPayload(info.Type)); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s cut to %d of %d bytes: %v", info.Name, cut, len(bare), err)
			}
		}
	}
}

func TestItemsOfASnapshotKeepUnknownBytesAtTheirEnd(t *testing.T) {
	for _, kind := range []SectionKind{SectionLog, SectionSegments, SectionUploads, SectionDeletes, SectionDictionaries} {
		b, err := encodeStructure(nil, newSectionItem(kind))
		must(t, err)
		b = append(b, "from later"...)
		item := newSectionItem(kind)
		must(t, decodeStructure(b, item))
		again, err := encodeStructure(nil, item)
		must(t, err)
		if !bytes.Equal(again, b) {
			t.Errorf("%s: item lost bytes", kind)
		}
	}
}

// lifeOfALog is a history that meets most records.
func lifeOfALog() []Record {
	segment := func(id uint64, p Payload) Record {
		return Record{SegmentID: id, TimestampNs: int64(id)*1000 + 600, Payload: p}
	}
	log := func(p Payload) Record { return Record{TimestampNs: 5000, Payload: p} }
	key := "segments/00000000000000000001_1-10_g1.zst"
	return []Record{
		log(&OwnerChanged{Epoch: 1, Owner: "alpha"}), opened(1), sealed(1), opened(2),
		segment(1, &CompressionStarted{JobID: 9}),
		segment(1, &CompressionDone{ObjectBytes: 900, TailBytes: 90, WarmCRC64: 0xfeed, Subjects: NewSubjectSummary([]string{"a.b", "a.c"})}),
		segment(1, &UploadStarted{Key: key, Generation: 1}),
		segment(1, &UploadFailed{Key: key, Reason: ReasonUnavailable, Attempt: 1}),
		segment(1, &UploadDone{Key: key, ETag: "\"e1\"", ObjectBytes: 900, TailBytes: 90}),
		segment(1, &LocalEvicted{Tier: TierHot, ReclaimedBytes: 4096}),
		sealed(2), opened(3),
		segment(2, &CompressionFailed{Reason: ReasonNoSpace, Attempt: 1}),
		segment(2, &CompressionDone{ObjectBytes: 800, TailBytes: 80, WarmCRC64: 0xf00d}),
		segment(2, &UploadStarted{Key: "segments/00000000000000000002_11-20_g1.zst", Generation: 1}),
		segment(1, &HydrationStarted{Source: TierCold, Target: TierHot}),
		log(&UploadStarted{Key: "dictionaries/1", Generation: 0}), log(&UploadDone{Key: "dictionaries/1", ETag: "d"}),
		log(&DictionaryAdded{DictionaryID: 1, Key: "dictionaries/1", CRC64: 3}),
		log(&Tier2DeleteQueued{Key: "snapshots/00000000000000000001.bin", NotBeforeNs: 7000}),
		log(&ChunkUploaded{ChunkIndex: 1, Key: "manifest/00000000000000000001.mlog"}),
		segment(2, &SegmentQuarantined{Tier: TierHot, Reason: ReasonChecksum, Offset: 64, Length: 8}),
		segment(1, &SegmentVerified{Tier: TierCold, BytesRead: 900}),
		log(&Tier2Throttle{Reason: ReasonTransient, RetryAfterMs: 250}),
		log(&LogTrimmed{FirstSeqKept: 4}),
		log(&Raw{Type: TypeUserFirst, Bytes: []byte("mine")}),
	}
}

// exampleDirectory is a manifest with two chunks, two snapshots and a clean close.
func exampleDirectory(t testing.TB) *vfs.Mem {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	records := lifeOfALog()
	appendAndCommit(t, w, records[:10]...)
	if _, err := w.WriteSnapshot(LogState{}); err != nil {
		t.Fatal(err)
	}
	appendAndCommit(t, w, records[10:]...)
	must(t, w.Rotate())
	if _, err := w.WriteSnapshot(LogState{NextSeq: 25, LastNs: 4000, DedupWindowNs: 120e9, DedupMaxIDs: 1 << 22}); err != nil {
		t.Fatal(err)
	}
	must(t, w.CloseLog(3, 640))
	checkNothingOpen(t, disk)
	return disk
}

func TestChunksAndSnapshotsKeepTheirBytes(t *testing.T) {
	disk := exampleDirectory(t)
	for _, name := range []string{ChunkName(1), ChunkName(2), SnapshotName(1), SnapshotName(2)} {
		b := disk.Live(filepath.Join(testDir, name))
		compareGolden(t, name, b[:usedBytes(b)])
	}
	compareGolden(t, "inspect.txt", inspectText(t, disk, testDir))
}

// inspectText prints what Inspect gives.
func inspectText(t testing.TB, fsys vfs.FS, path string) []byte {
	t.Helper()
	var text bytes.Buffer
	must(t, Inspect(fsys, path, func(e Entry) error {
		fmt.Fprintf(&text, "%s %d+%d %s", filepath.Base(e.Path), e.Offset, len(e.Raw), e.Kind)
		fields := e.Fields
		switch e.Kind {
		case EntryChunkHeader:
			fields = describeStructure(e.Chunk)
		case EntryRecord:
			fmt.Fprintf(&text, " %d %s of segment %d, offset %d, ts %d, unsynced %d", e.Record.Ordinal, e.Record.Type(), e.Record.SegmentID,
				e.Record.LogicalOffset, e.Record.TimestampNs, e.Record.UnsyncedBytes)
			fields = DescribePayload(e.Record.Payload)
		case EntrySnapshotHeader:
			fields = describeStructure(e.Snapshot)
		case EntrySnapshotItem:
			fmt.Fprintf(&text, " of %s", e.Section)
		}
		for _, field := range fields {
			fmt.Fprintf(&text, "; %s=%s", field.Name, fieldText(field.Value))
		}
		if e.Err != nil {
			fmt.Fprintf(&text, " ! %v", e.Err)
		}
		text.WriteByte('\n')
		return nil
	}))
	return text.Bytes()
}

// The golden files must open in every later version.
func TestGoldenDirectoryOpens(t *testing.T) {
	disk := vfs.NewMem(1)
	must(t, disk.MkdirAll(testDir))
	for _, name := range []string{ChunkName(1), ChunkName(2), SnapshotName(1), SnapshotName(2)} {
		b, err := vfs.ReadFile(vfs.OS(), filepath.Join("testdata", name), 1<<20)
		must(t, err)
		file, err := disk.Create(filepath.Join(testDir, name))
		must(t, err)
		must(t, writeAll(file, b, 0))
		if name == ChunkName(2) {
			must(t, file.Truncate(ChunkBytesMin)) // stored without the zeros behind it
		}
		must(t, file.Close())
	}
	report, err := Check(disk, testDir)
	must(t, err)
	must(t, report.Err())
	if report.SnapshotsCompared != 2 || !report.ClosedCleanly || report.Chunks != 2 || report.Sealed != 1 {
		t.Errorf("report is %+v", report)
	}
	w := openWriter(t, disk)
	if r := w.Recovery(); !r.Continued || r.Err() != nil || r.SnapshotID != 2 {
		t.Errorf("recovery is %+v", r)
	}
	if s := w.State(); s.SegmentCount() != 3 || s.Log().NextSeq != 25 || s.Log().DedupMaxIDs != 1<<22 || s.Segment(1).Resident.String() != "warm+cold" {
		t.Errorf("state is %+v", s.Log())
	}
	must(t, w.Close())
	checkNothingOpen(t, disk)
}
