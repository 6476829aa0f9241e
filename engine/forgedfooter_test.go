package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// forgedFooter is a payload with what looks like a footer: that of the segment,
// as far as somebody knows it who may only publish, who asks for the log's id and
// is told places in acks. It says that the segment ends with the header.
func forgedFooter(l *Log, s *segmentFile, subject []byte) []byte {
	at := s.tail.end + segment.RecordHeaderBytes + int64(len(subject))
	before := (8 - at%8) % 8
	footer := segment.Footer{
		LogID: l.id, ID: s.id(), BaseSeq: s.baseSeq(), FirstSeq: s.baseSeq(), LastSeq: s.baseSeq() - 1, Epoch: 1,
		IndexOffset: segment.HeaderBytes, IndexBytes: uint64(at + before - segment.HeaderBytes), Flags: segment.FooterSealed,
	}
	var encoded [segment.FooterBytes]byte
	footer.Encode(&encoded)
	return append(make([]byte, before), encoded[:]...)
}

// A footer inside of a record's payload ends nothing: whoever publishes it knows
// everything of the segment but its salt.
func TestAFooterInAPayloadEndsNoSegment(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	appendNumbered(t, l, 1, 10)
	commitManual(t, l)
	subject := []byte("orders.forged")
	forged := forgedFooter(l, l.mu.tail, subject)
	if _, err := l.Append(&Record{Subject: subject, Payload: forged}); err != nil {
		t.Fatal(err)
	}
	appendNumbered(t, l, 12, 10)
	commitManual(t, l)
	disk.ProcessCrash()

	l = openManual(t, disk, smallSegments())
	records := readAll(t, l, ReadOptions{})
	if len(records) != 21 || !bytes.Equal(records[10].Payload, forged) {
		t.Fatalf("%d records of 21, report %+v", len(records), l.recovery)
	}
	if damaged := l.recovery.Damaged; len(damaged) > 0 {
		t.Errorf("damage is reported: %v", damaged)
	}
}

func TestAFooterInAPayloadIsNoneForReadersAndChecks(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	e := openOnDisk(t, root, Options{})
	l := openLogTest(t, e, smallSegments())
	appendMany(t, l, 1, 10)
	subject := []byte("orders.forged")
	if _, err := l.AppendSync(t.Context(), &Record{Subject: subject, Payload: forgedFooter(l, l.mu.tail, subject)}); err != nil {
		t.Fatal(err)
	}
	appendMany(t, l, 12, 10)
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	report := checkPlace(t, copied, CheckOptions{}, copied)
	if !report.OK() || report.Logs[0].Records < 20 {
		t.Errorf("a check finds %d records and %v", report.Logs[0].Records, report.Logs[0].Damage)
	}
	readOnly, err := OpenReadOnly(copied)
	if err != nil {
		t.Fatal(err)
	}
	if records := readAll(t, openLogTest(t, readOnly, LogOptions{}), ReadOptions{}); len(records) < 20 {
		t.Errorf("a read-only log has %d records", len(records))
	}
	if err := readOnly.Close(); err != nil {
		t.Fatal(err)
	}
}
