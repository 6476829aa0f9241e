package tier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

func TestAnotherSegmentIsNeitherWrittenNorOpened(t *testing.T) {
	s := specimens()[2]
	for name, change := range map[string]func(*Identity){
		"log":     func(i *Identity) { i.LogID++ },
		"segment": func(i *Identity) { i.SegmentID++ },
		"salt":    func(i *Identity) { i.Salt++ },
	} {
		want := testIdentity()
		change(&want)
		check := func(err error) {
			var identity *IdentityError
			if !errors.Is(err, ErrIdentity) || !errors.As(err, &identity) || identity.Want != want || identity.Got != testIdentity() {
				t.Errorf("another %s: %v", name, err)
			}
		}
		var object bytes.Buffer
		_, err := Compress(context.Background(), &object, bytes.NewReader(s.file), int64(len(s.file)), want, 0)
		check(err)
		if object.Len() != 0 {
			t.Errorf("another %s: %d bytes were written", name, object.Len())
		}
		_, err = OpenObject(context.Background(), &memoryReader{b: s.object}, s.info.Bytes, s.info.TailBytes, want)
		check(err)
	}
}

func TestSaltIsComparedOnlyIfKnown(t *testing.T) {
	s := specimens()[2]
	want := testIdentity()
	want.Salt = 0
	if _, err := Compress(context.Background(), io.Discard, bytes.NewReader(s.file), int64(len(s.file)), want, 0); err != nil {
		t.Error(err)
	}
	if _, err := OpenObject(context.Background(), &memoryReader{b: s.object}, s.info.Bytes, 0, want); err != nil {
		t.Error(err)
	}
}

func TestObjectsAreAdoptedIfTheyHoldTheSameSegment(t *testing.T) {
	footer := specimens()[3].info.Footer
	for name, c := range map[string]struct {
		change func(*segment.Footer)
		same   bool
	}{
		"nothing":          {func(*segment.Footer) {}, true},
		"manifest ordinal": {func(f *segment.Footer) { f.ManifestOrdinal++ }, true},
		"index":            {func(f *segment.Footer) { f.IndexCRC64++ }, true},
		"log id":           {func(f *segment.Footer) { f.LogID++ }, false},
		"segment id":       {func(f *segment.Footer) { f.ID++ }, false},
		"salt":             {func(f *segment.Footer) { f.Salt++ }, false},
		"first seq":        {func(f *segment.Footer) { f.FirstSeq++ }, false},
		"last seq":         {func(f *segment.Footer) { f.LastSeq++ }, false},
		"CRC-64":           {func(f *segment.Footer) { f.SegmentCRC64++ }, false},
	} {
		other := footer
		c.change(&other)
		if SameSegment(&footer, &other) != c.same || SameSegment(&other, &footer) != c.same {
			t.Errorf("another %s: same is not %v", name, c.same)
		}
	}
}

func TestWarmNames(t *testing.T) {
	name := WarmName{SegmentID: 7, BaseSeq: 1001, Sealed: 1700000000000000000}
	const text = "00000000000000000007_00000000000000001001_01700000000000000000.zst"
	if name.String() != text {
		t.Errorf("%s", name)
	}
	if got, ok := ParseWarmName(text); !ok || got != name {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, bad := range []string{
		"", ".zst", text + ".zst", text[:len(text)-4], text[1:], "0" + text, text + ".tmp",
		"00000000000000000007_00000000000000001001_01700000000000000000.seg",
		"00000000000000000007_00000000000000001001_01700000000000000000.dzst",
		"00000000000000000000_00000000000000001001_01700000000000000000.zst",
		"00000000004294967296_00000000000000001001_01700000000000000000.zst",
		"00000000000000000007_00000000000000000000_01700000000000000000.zst",
		"00000000000000000007_00000000000000001001_18446744073709551615.zst",
		"00000000000000000007_99999999999999999999_01700000000000000000.zst",
		"+0000000000000000007_00000000000000001001_01700000000000000000.zst",
		"0000000000000000000x_00000000000000001001_01700000000000000000.zst",
		"00000000000000000007-00000000000000001001-01700000000000000000.zst",
		"00000000000000000007_00000000000000001001_01700000000000000000_.zst",
	} {
		if got, ok := ParseWarmName(bad); ok {
			t.Errorf("%q gave %+v", bad, got)
		}
	}
}
