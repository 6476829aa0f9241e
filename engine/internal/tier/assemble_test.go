package tier

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// assemble makes a well-formed seekable stream of these frames, whatever is in
// them.
func assemble(t testing.TB, plain ...[]byte) []byte {
	t.Helper()
	encoder, release, err := takeEncoder(0)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	var object bytes.Buffer
	w, err := seekable.NewWriter(&object, encoder)
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range plain {
		if _, err := w.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return object.Bytes()
}

// Streams whose every checksum holds, and which are still no object of the
// segment.
func TestWellFormedStreamsThatAreNoObject(t *testing.T) {
	file := small()
	_, info := compress(t, file)
	recordsEnd := int(info.Footer.IndexOffset)
	cut := int(info.Index.Frames()[1].Offset)
	changedFooter := func(change func(*segment.Footer)) []byte {
		footer := info.Footer
		change(&footer)
		var b [segment.FooterBytes]byte
		footer.Encode(&b)
		return append(bytes.Clone(file[recordsEnd:len(file)-segment.FooterBytes]), b[:]...)
	}
	for name, frames := range map[string][][]byte{
		"one frame":            {file},
		"records cut too soon": {file[:cut-8], file[cut-8 : recordsEnd], file[recordsEnd:]},
		"records in one frame": {file[:recordsEnd], file[recordsEnd:]},
		"header by itself":     {file[:128], file[128:cut], file[cut:recordsEnd], file[recordsEnd:]},
		"index by itself":      {file[:cut], file[cut:recordsEnd], file[recordsEnd : len(file)-192], file[len(file)-192:]},
		"footer only":          {file[:cut], file[cut:recordsEnd], file[len(file)-192:]},
		"no footer":            {file[:cut], file[cut:recordsEnd]},
		"index offset":         {file[:cut], file[cut:recordsEnd], changedFooter(func(f *segment.Footer) { f.IndexOffset += 8 })},
		"index length":         {file[:cut], file[cut:recordsEnd], changedFooter(func(f *segment.Footer) { f.IndexBytes -= 8 })},
		"index checksum":       {file[:cut], file[cut:recordsEnd], changedFooter(func(f *segment.Footer) { f.IndexCRC64++ })},
		"segment checksum":     {file[:cut], file[cut:recordsEnd], changedFooter(func(f *segment.Footer) { f.SegmentCRC64++ })},
		"a record changed":     {append(bytes.Clone(file[:cut-1]), file[cut-1]^1), file[cut:recordsEnd], file[recordsEnd:]},
	} {
		object := assemble(t, frames...)
		if _, restored, err := readAll(object, int64(len(object)), 0); !errors.Is(err, ErrCorrupt) || bytes.Contains(restored, []byte("AOF2FOOT")) {
			t.Errorf("%s: %d bytes, %v", name, len(restored), err)
		}
	}
	object := assemble(t, file[:cut], file[cut:recordsEnd], file[recordsEnd:])
	if _, restored, err := readAll(object, int64(len(object)), 0); err != nil || !bytes.Equal(restored, file) {
		t.Errorf("the object put together from its parts: %v", err)
	}
}

var errDisk = errors.New("disk is on fire")

// failing lets so many bytes through, then fails.
type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if len(b) > f.left {
		return f.left, errDisk
	}
	f.left -= len(b)
	return len(b), nil
}

// failingReader fails to read at or behind an offset.
type failingReader struct {
	b  []byte
	at int64
}

func (f *failingReader) ReadAt(b []byte, offset int64) (int, error) {
	if offset+int64(len(b)) > f.at {
		return 0, errDisk
	}
	return copy(b, f.b[offset:]), nil
}

func (f *failingReader) ReadRange(_ context.Context, offset, length int64) ([]byte, error) {
	b := make([]byte, length)
	_, err := f.ReadAt(b, offset)
	return b, err
}

func TestErrorsOfTheDiskArePassedOn(t *testing.T) {
	s := specimens()[3]
	for left := 0; left < int(s.info.Bytes); left += 20000 {
		_, err := Compress(context.Background(), &failing{left: left}, bytes.NewReader(s.file), int64(len(s.file)), testIdentity(), 0)
		if !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
			t.Errorf("writing fails after %d bytes: %v", left, err)
		}
	}
	for at := 0; at < len(s.file); at += 50000 {
		_, err := Compress(context.Background(), io.Discard, &failingReader{s.file, int64(at)}, int64(len(s.file)), testIdentity(), 0)
		if !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
			t.Errorf("reading fails at %d: %v", at, err)
		}
	}
	if _, err := OpenObject(context.Background(), &failingReader{s.object, s.info.Bytes - 1}, s.info.Bytes, 0, testIdentity()); !errors.Is(err, errDisk) {
		t.Errorf("opening: %v", err)
	}
	src := &failingReader{s.object, s.info.Bytes}
	o, err := OpenObject(context.Background(), src, s.info.Bytes, 0, testIdentity())
	if err != nil {
		t.Fatal(err)
	}
	for left := 0; left < len(s.file); left += 50000 {
		if err := o.WriteSegment(context.Background(), &failing{left: left}); !errors.Is(err, errDisk) {
			t.Errorf("restoring fails after %d bytes: %v", left, err)
		}
	}
	src.at = 10
	if _, err := o.ReadFrame(context.Background(), 0); !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
		t.Errorf("frame: %v", err)
	}
	if err := o.WriteSegment(context.Background(), io.Discard); !errors.Is(err, errDisk) {
		t.Errorf("restoring: %v", err)
	}
}

func TestCancelledContextEndsEachWork(t *testing.T) {
	s := specimens()[3]
	o, _ := open(t, s.object, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, compressing := Compress(ctx, io.Discard, bytes.NewReader(s.file), int64(len(s.file)), testIdentity(), 0)
	_, opening := OpenObject(ctx, &memoryReader{b: s.object}, s.info.Bytes, 0, testIdentity())
	_, reading := o.ReadFrame(ctx, 0)
	restoring := o.WriteSegment(ctx, io.Discard)
	for name, err := range map[string]error{"compress": compressing, "open": opening, "read": reading, "restore": restoring} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
