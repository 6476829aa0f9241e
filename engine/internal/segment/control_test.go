package segment

import (
	"testing"
)

// The geometry of a mark pair, at every offset in a sector that a record can
// begin at.
func TestMarkPairLiesInTwoSectors(t *testing.T) {
	longest := 0
	for inSector := 0; inSector < SectorBytes; inSector += 8 {
		offset := 4*SectorBytes + inSector
		file := make([]byte, offset)
		file = AppendMarkPair(file, int64(offset), testSalt, CloseMark, 41, 100, 5)
		longest = max(longest, len(file)-offset)

		var first, second Record
		n, err := DecodeRecord(file[offset:], testSalt, &first)
		if err != nil {
			t.Fatalf("offset %d: first mark: %v", inSector, err)
		}
		middle := offset + n
		if middle%SectorBytes != 0 {
			t.Errorf("offset %d: the first mark ends inside its sector, at %d", inSector, middle%SectorBytes)
		}
		if n, err = DecodeRecord(file[middle:], testSalt, &second); err != nil || middle+n != len(file) || n != MarkBytes {
			t.Fatalf("offset %d: second mark: %d, %v", inSector, n, err)
		}
		checkMark(t, &first, DurableMark, 100)
		checkMark(t, &second, CloseMark, 100+uint32(middle-offset))
		if zeroShareIn(file, offset, middle) || zeroShareIn(file, middle, len(file)) {
			t.Errorf("offset %d: a sector's share of a mark is zero: it would look torn", inSector)
		}
	}
	if longest != MarkPairBytesMax {
		t.Errorf("the longest pair has %d bytes, MarkPairBytesMax is %d", longest, MarkPairBytesMax)
	}
}

func checkMark(t *testing.T, r *Record, kind ControlKind, unsynced uint32) {
	t.Helper()
	got, ok := r.Control()
	if !ok || got != kind || r.Seq != 41 || r.Unsynced != unsynced || r.Timestamp != 5 ||
		len(r.Subject) != 0 || len(r.Headers) != 0 || r.ExtID != 0 {
		t.Errorf("mark of kind %d: %+v", kind, r)
	}
}

func TestSealAndEpochMarks(t *testing.T) {
	for inSector := 0; inSector < SectorBytes; inSector += 8 {
		file := make([]byte, inSector)
		file = AppendSealMark(file, testSalt, 41, 100, 5)
		var r Record
		if n, err := DecodeRecord(file[inSector:], testSalt, &r); err != nil || n != SealMarkBytes {
			t.Fatalf("seal mark: %d, %v", n, err)
		}
		checkMark(t, &r, SealMark, 100)
		if zeroShareIn(file, inSector, len(file)) {
			t.Errorf("offset %d: a sector's share of a seal mark is zero", inSector)
		}
		if _, ok := r.MarkEpoch(); ok {
			t.Error("a seal mark has an epoch")
		}

		file = AppendEpochMark(file[:inSector], testSalt, 41, 100, 5, 9)
		if n, err := DecodeRecord(file[inSector:], testSalt, &r); err != nil || n != EpochMarkBytes {
			t.Fatalf("epoch mark: %d, %v", n, err)
		}
		checkMark(t, &r, EpochMark, 100)
		if zeroShareIn(file, inSector, len(file)) {
			t.Errorf("offset %d: a sector's share of an epoch mark is zero", inSector)
		}
		if epoch, ok := r.MarkEpoch(); !ok || epoch != 9 {
			t.Errorf("epoch %d, %v", epoch, ok)
		}
	}
}

func TestDataRecordIsNoMark(t *testing.T) {
	b := AppendRecord(nil, testSalt, &Record{Seq: 1, Subject: []byte("s"), Payload: []byte{byte(SealMark)}})
	var r Record
	if _, err := DecodeRecord(b, testSalt, &r); err != nil {
		t.Fatal(err)
	}
	if kind, ok := r.Control(); ok {
		t.Errorf("kind %d", kind)
	}
}
