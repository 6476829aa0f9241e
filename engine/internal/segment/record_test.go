package segment

import (
	"bytes"
	"errors"
	"hash/crc32"
	"reflect"
	"testing"
)

func TestRecordRoundTrip(t *testing.T) {
	for _, subjectBytes := range []int{1, 2, 7, 8, 9, 255, SubjectBytesMax} {
		for _, headersBytes := range []int{0, 1, 15} {
			for _, payloadBytes := range []int{0, 1, 6, 7, 8, 9, 129, 4096} {
				want := Record{
					Seq: 1 << 40, Timestamp: -5, ExtID: 9, Unsynced: 77, Flags: FlagSnapshotBoundary | FlagBatchContinues,
					Subject: fill(subjectBytes), Headers: fill(headersBytes), Payload: fill(payloadBytes),
				}
				prefix := []byte("before")
				b := AppendRecord(cloneBytes(prefix), testSalt, &want)
				if !bytes.HasPrefix(b, prefix) {
					t.Fatal("what stood before was changed")
				}
				b = b[len(prefix):]
				if len(b) != RecordBytes(subjectBytes, headersBytes, payloadBytes) || len(b)%8 != 0 || len(b) < RecordBytesMin {
					t.Fatalf("length %d", len(b))
				}
				var got Record
				n, err := DecodeRecord(append(b, 1, 2, 3), testSalt, &got)
				if err != nil || n != len(b) {
					t.Fatalf("decode: %d, %v", n, err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("got %+v, want %+v", got, want)
				}
			}
		}
	}
}

func TestPaddingIsZeroWhateverTheBufferHeld(t *testing.T) {
	dirty := bytes.Repeat([]byte{0xee}, 256)
	for payloadBytes := range 20 {
		r := Record{Seq: 1, Subject: []byte("s"), Payload: fill(payloadBytes)}
		clean := AppendRecord(nil, testSalt, &r)
		if got := AppendRecord(dirty[:0], testSalt, &r); !bytes.Equal(got, clean) {
			t.Fatalf("payload of %d bytes: the buffer shows through\n%s", payloadBytes, hexDump(got))
		}
		for i := range dirty {
			dirty[i] = 0xee
		}
	}
}

// Both checksums are what the format says, computed here the long way.
func TestRecordChecksumsAreSeededWithTheSalt(t *testing.T) {
	b := AppendRecord(nil, testSalt, &Record{Seq: 3, Subject: []byte("orders"), Payload: []byte("payload")})
	seed := uint32(testSalt & 0xffffffff)
	table := crc32.MakeTable(crc32.Castagnoli)
	if got, want := littleEndian.Uint32(b[44:]), crc32.Update(seed, table, b[4:44]); got != want {
		t.Errorf("header checksum %#x, want %#x", got, want)
	}
	if got, want := littleEndian.Uint32(b), crc32.Update(seed, table, b[4:]); got != want {
		t.Errorf("checksum %#x, want %#x", got, want)
	}
	var r Record
	if _, err := DecodeRecord(b, testSalt+1, &r); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another segment's salt: %v", err)
	}
	if _, err := DecodeRecord(b, testSalt+1<<32, &r); err != nil {
		t.Errorf("only the low half of the salt counts: %v", err)
	}
}

func TestDecodedSlicesCannotGrowIntoTheNextRecord(t *testing.T) {
	b := AppendRecord(nil, testSalt, &Record{Seq: 1, Subject: []byte("sub"), Headers: []byte("A: b\r\n"), Payload: []byte("pay")})
	before := cloneBytes(b)
	var r Record
	if _, err := DecodeRecord(b, testSalt, &r); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{r.Subject, r.Headers, r.Payload} {
		if cap(part) != len(part) {
			t.Errorf("%q has room for %d more bytes", part, cap(part)-len(part))
		}
		_ = append(part, "xxxxxxxx"...)
	}
	if !bytes.Equal(b, before) {
		t.Error("appending to a part changed the record")
	}
}

func TestRecordTruncatedAtEveryLengthIsShortOrCorrupt(t *testing.T) {
	b := AppendRecord(nil, testSalt, &Record{Seq: 1, Subject: []byte("orders"), Payload: fill(100)})
	for n := range b {
		var r Record
		if got, err := DecodeRecord(b[:n], testSalt, &r); got != 0 || !errors.Is(err, ErrShort) {
			t.Fatalf("%d of %d bytes: %d, %v", n, len(b), got, err)
		}
	}
}

func TestRecordWithAnyBitFlippedIsRefused(t *testing.T) {
	b := AppendRecord(nil, testSalt, &Record{Seq: 1, Subject: []byte("orders"), Headers: []byte("A: b\r\n"), Payload: fill(30)})
	for i := range len(b) * 8 {
		c := cloneBytes(b)
		c[i/8] ^= 1 << (i % 8)
		var r Record
		if n, err := DecodeRecord(c, testSalt, &r); n != 0 || !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d: %d, %v", i, n, err)
		}
	}
}

func TestRecordWhoseLengthsContradictIsCorrupt(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"headers longer than the body": func(b []byte) { littleEndian.PutUint32(b[36:], 1<<31) },
		"subject longer than the body": func(b []byte) { littleEndian.PutUint16(b[40:], 500) },
		"control record with a subject": func(b []byte) {
			littleEndian.PutUint16(b[42:], uint16(FlagControl))
		},
		"no body": func(b []byte) { littleEndian.PutUint32(b[4:], 0) },
	} {
		b := AppendRecord(nil, testSalt, &Record{Seq: 1, Subject: []byte("orders"), Payload: fill(30)})
		change(b)
		if littleEndian.Uint32(b[4:]) == 0 {
			b = b[:RecordHeaderBytes]
		}
		sealChecksums(b, testSalt)
		var r Record
		if n, err := DecodeRecord(b, testSalt, &r); n != 0 || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestUnknownRecordFlags(t *testing.T) {
	r := Record{Seq: 4, Flags: 1 << 7, Subject: []byte("s"), Payload: []byte("p")}
	b := AppendRecord(nil, testSalt, &r)
	var got Record
	n, err := DecodeRecord(b, testSalt, &got)
	var flags *FlagsError
	if !errors.As(err, &flags) || flags.Unknown != 1<<7 || !errors.Is(err, ErrVersion) {
		t.Errorf("incompatible flag: %v", err)
	}
	if n != len(b) || got.Seq != 4 {
		t.Errorf("a caller cannot step over it: %d, %+v", n, got)
	}
	r.Flags = 1 << 15
	if _, err := DecodeRecord(AppendRecord(nil, testSalt, &r), testSalt, &got); err != nil || got.Flags != 1<<15 {
		t.Errorf("compatible flag: %v, kept as %#x", err, got.Flags)
	}
}

func TestCheckSizes(t *testing.T) {
	for _, c := range []struct {
		subject, headers, payload int
		ok                        bool
	}{
		{1, 0, 0, true},
		{0, 0, 1, true},
		{0, 0, 0, false},
		{SubjectBytesMax, 0, 0, true},
		{SubjectBytesMax + 1, 0, 0, false},
		{1, 0, RecordBytesMax - RecordHeaderBytes - 1, true},
		{1, 0, RecordBytesMax - RecordHeaderBytes, false},
		{1, RecordBytesMax, RecordBytesMax, false},
	} {
		err := CheckSizes(c.subject, c.headers, c.payload)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrSize) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a record without a body was encoded")
		}
	}()
	AppendRecord(nil, testSalt, &Record{Seq: 1})
}

func TestRecordCodecDoesNotAllocate(t *testing.T) {
	r := Record{Seq: 1, Subject: []byte("orders.eu"), Headers: []byte("A: b\r\n"), Payload: fill(128)}
	buffer := make([]byte, 0, 4096)
	encoded := AppendRecord(nil, testSalt, &r)
	var got Record
	if n := testing.AllocsPerRun(100, func() { buffer = AppendRecord(buffer[:0], testSalt, &r) }); n != 0 {
		t.Errorf("AppendRecord allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = DecodeRecord(encoded, testSalt, &got) }); n != 0 {
		t.Errorf("DecodeRecord allocates %v times", n)
	}
	encoded[60]++
	if n := testing.AllocsPerRun(100, func() { _, _ = DecodeRecord(encoded, testSalt, &got) }); n != 0 {
		t.Errorf("a failing DecodeRecord allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { buffer = AppendMarkPair(buffer[:0], 128, testSalt, CloseMark, 1, 0, 1) }); n != 0 {
		t.Errorf("AppendMarkPair allocates %v times", n)
	}
}
