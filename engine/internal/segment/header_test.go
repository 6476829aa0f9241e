package segment

import (
	"errors"
	"reflect"
	"testing"
)

func encodedHeader(h Header) []byte {
	var b [HeaderBytes]byte
	h.Encode(&b)
	return b[:]
}

func testFooter() Footer {
	return Footer{
		LogID: 1, ID: 2, Salt: 3, Epoch: 4, BaseSeq: 5, Count: 6, FirstSeq: 5, LastSeq: 10, FirstTimestamp: -7, MaxTimestamp: 8,
		FirstExtID: 9, LastExtID: 10, DurableBytes: 11, ManifestOrdinal: 12, SegmentCRC64: 13,
		IndexOffset: 1024, IndexBytes: 64, IndexCRC64: 14, Flags: FooterSealed | FooterPartial | 1<<31,
	}
}

func encodedFooter(f Footer) []byte {
	var b [FooterBytes]byte
	f.Encode(&b)
	return b[:]
}

func TestHeaderRoundTrip(t *testing.T) {
	want := testHeader()
	want.Flags = 1 << 20 // compatible: kept
	want.AllocatedBytes = SegmentBytesMax
	got, err := DecodeHeader(append(encodedHeader(want), 0xff))
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestFooterRoundTrip(t *testing.T) {
	want := testFooter()
	got, err := DecodeFooter(append(encodedFooter(want), 0xff))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	if h := got.Header(99); h != (Header{LogID: 1, ID: 2, BaseSeq: 5, Created: 99, Epoch: 4, Salt: 3}) {
		t.Errorf("header rebuilt as %+v", h)
	}
}

// envelope describes one of the two structures with magic, version, length and
// checksum.
type envelope struct {
	name   string
	bytes  []byte
	decode func([]byte) error
	notOur error
}

func envelopes() []envelope {
	return []envelope{
		{"header", encodedHeader(testHeader()), func(b []byte) error { _, err := DecodeHeader(b); return err }, ErrNotSegment},
		{"footer", encodedFooter(testFooter()), func(b []byte) error { _, err := DecodeFooter(b); return err }, ErrNotFooter},
	}
}

func TestEnvelopeTruncatedAtEveryLengthIsShort(t *testing.T) {
	for _, e := range envelopes() {
		for n := range e.bytes {
			if err := e.decode(e.bytes[:n]); !errors.Is(err, ErrShort) {
				t.Fatalf("%s, %d bytes: %v", e.name, n, err)
			}
		}
	}
}

func TestEnvelopeWithAnyByteFlippedHasATypedError(t *testing.T) {
	for _, e := range envelopes() {
		for i := range e.bytes {
			want := ErrCorrupt
			switch {
			case i < 8:
				want = e.notOur
			case i < 10:
				want = ErrVersion
			}
			if err := e.decode(flip(e.bytes, i)); !errors.Is(err, want) {
				t.Fatalf("%s, byte %d: %v, want %v", e.name, i, err, want)
			}
		}
	}
}

func TestOtherVersionIsReportedAsSuch(t *testing.T) {
	for _, e := range envelopes() {
		for _, version := range []uint16{1, 2, 4, 65535} {
			b := cloneBytes(e.bytes)
			littleEndian.PutUint16(b[8:], version)
			var got *VersionError
			if err := e.decode(b); !errors.As(err, &got) || got.Version != version || got.Verified || !errors.Is(err, ErrVersion) {
				t.Errorf("%s: bytes of version %d: %v", e.name, version, err)
			}
			littleEndian.PutUint32(b[len(b)-4:], crc32c(b[:len(b)-4]))
			if err := e.decode(b); !errors.As(err, &got) || !got.Verified || got.Error() == "" {
				t.Errorf("%s: a writer of version %d: %v", e.name, version, err)
			}
			if err := e.decode(b[:16]); !errors.Is(err, ErrVersion) {
				t.Errorf("%s: a shorter structure of version %d: %v", e.name, version, err)
			}
		}
	}
}

func TestUnknownIncompatibleFlagIsAVersionError(t *testing.T) {
	h := testHeader()
	h.Flags = 1 << 3
	var flags *FlagsError
	if _, err := DecodeHeader(encodedHeader(h)); !errors.As(err, &flags) || flags.Unknown != 1<<3 || !errors.Is(err, ErrVersion) {
		t.Errorf("header: %v", err)
	}
	f := testFooter()
	f.Flags |= 1 << 9
	if _, err := DecodeFooter(encodedFooter(f)); !errors.As(err, &flags) || flags.Unknown != 1<<9 || flags.Error() == "" {
		t.Errorf("footer: %v", err)
	}
}

func TestMeaningIsCheckedLast(t *testing.T) {
	for _, base := range []uint64{0, SeqMax + 1, 1<<64 - 1} {
		h := testHeader()
		h.BaseSeq = base
		if _, err := DecodeHeader(encodedHeader(h)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("base sequence %d: %v", base, err)
		}
	}
	for name, change := range map[string]func(*Footer){
		"index in the header":     func(f *Footer) { f.IndexOffset = 64 },
		"index not aligned":       func(f *Footer) { f.IndexOffset++ },
		"index beyond a segment":  func(f *Footer) { f.IndexOffset = SegmentBytesMax + SealMarkBytes + 8 },
		"index length odd":        func(f *Footer) { f.IndexBytes = 63 },
		"index longer than it":    func(f *Footer) { f.IndexBytes = 1 << 63 },
		"base sequence 0":         func(f *Footer) { f.BaseSeq = 0 },
		"last before base - 1":    func(f *Footer) { f.LastSeq = 3 },
		"last beyond the highest": func(f *Footer) { f.LastSeq = 1 << 63 },
	} {
		f := testFooter()
		change(&f)
		if _, err := DecodeFooter(encodedFooter(f)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
