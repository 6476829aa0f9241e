package manifest

// This file feeds the decoders anything. The corpus is every example: one record
// a type, the golden chunks and snapshots.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func goldenFiles(f *testing.F, pattern string) [][]byte {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	must(f, err)
	var files [][]byte
	for _, path := range paths {
		b, err := os.ReadFile(path)
		must(f, err)
		files = append(files, b)
	}
	if len(files) == 0 {
		f.Fatal("no golden files")
	}
	return files
}

func FuzzRecord(f *testing.F) {
	for _, kind := range exampleTypes() {
		r := exampleRecord(kind)
		b, err := EncodeRecord(nil, &r)
		must(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, length, err := DecodeRecord(b)
		if err != nil {
			return
		}
		again, err := EncodeRecord(nil, &r)
		must(t, err)
		finishRecord(again, r.UnsyncedBytes)
		if used := recordHeaderBytes + int(binary.LittleEndian.Uint32(b[12:])); !isZero(b[used:length]) {
			return // the padding is checked and not kept
		}
		if !bytes.Equal(again, b[:length]) {
			t.Errorf("%x became %x", b[:length], again)
		}
	})
}

// FuzzPayload goes past the checksums.
func FuzzPayload(f *testing.F) {
	for _, kind := range exampleTypes() {
		b, err := encodeStructure(nil, exampleOf(kind))
		must(f, err)
		f.Add(uint16(kind), b)
	}
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		p := newPayload(RecordType(kind))
		if decodeStructure(b, p) != nil {
			return
		}
		again, err := encodeStructure(nil, p)
		must(t, err)
		if !bytes.Equal(again, b) {
			t.Errorf("%s: %x became %x", p.RecordType(), b, again)
		}
		for _, lenient := range []bool{false, true} {
			builder := edit(NewState())
			builder.lenient = lenient
			for _, r := range []Record{{SegmentID: 1, Payload: p}, {Payload: p}, {SegmentID: 1, Payload: p}} {
				_ = builder.apply(&r) // any error, no panic
			}
			_, err := encodeSections(builder.publish())
			must(t, err)
		}
	})
}

func FuzzChunkHeader(f *testing.F) {
	for _, b := range goldenFiles(f, "*.mlog") {
		f.Add(b[:chunkHeaderBytes])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeChunkHeader(b)
		if err == nil && h.Flags <= chunkFlagSealed && isZero(b[88:124]) && !bytes.Equal(encodeChunkHeader(&h), b[:chunkHeaderBytes]) {
			t.Errorf("%x became %+v", b[:chunkHeaderBytes], h)
		}
	})
}

// FuzzChunk opens a directory whose only chunk is anything: it opens, or says
// why not, and what it takes for records stays so.
func FuzzChunk(f *testing.F) {
	for _, b := range goldenFiles(f, "*.mlog") {
		for _, isFirst := range []bool{false, true} {
			f.Add(b, isFirst, false)
			f.Add(b, isFirst, true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, isFirst, isMended bool) {
		if isMended {
			b = mended(b)
		}
		disk := vfs.NewMem(1)
		must(t, disk.MkdirAll(testDir))
		name := ChunkName(2)
		if isFirst {
			name = ChunkName(1)
		}
		replaceFile(t, disk, name, b)
		if _, err := Check(disk, testDir); err != nil && !isExpectedRefusal(err) {
			t.Errorf("check: %v", err)
		}
		w, err := Open(disk, testDir, testOptions())
		if err != nil {
			if !isExpectedRefusal(err) {
				t.Errorf("open: %v", err)
			}
			return
		}
		appendAndCommit(t, w, custom(1))
		next := w.NextOrdinal()
		must(t, w.Close())
		w = openWriter(t, disk)
		if w.NextOrdinal() != next {
			t.Errorf("next is %d, was %d", w.NextOrdinal(), next)
		}
		must(t, w.Close())
		checkNothingOpen(t, disk)
	})
}

// mended sets checksums again as far as the lengths make sense, so that what they
// protect is decoded.
func mended(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < chunkHeaderBytes {
		return b
	}
	reseal(b)
	for p := chunkHeaderBytes; p+recordHeaderBytes <= len(b); {
		payload := int(binary.LittleEndian.Uint32(b[p+12:]))
		end := p + aligned(recordHeaderBytes+payload)
		if payload > len(b) || end > len(b) {
			break
		}
		finishRecord(b[p:end], binary.LittleEndian.Uint32(b[p+48:]))
		p = end
	}
	return b
}

func FuzzSnapshot(f *testing.F) {
	for _, b := range goldenFiles(f, "*.bin") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSnapshot(b)
		if err != nil {
			return
		}
		again, err := EncodeSnapshot(s)
		must(t, err)
		if _, err := DecodeSnapshot(again); err != nil {
			t.Errorf("encoded again: %v", err)
		}
	})
}

// FuzzSections goes past the checksum of a snapshot.
func FuzzSections(f *testing.F) {
	for _, b := range goldenFiles(f, "*.bin") {
		f.Add(b[snapshotHeaderBytes : len(b)-snapshotChecksumBytes])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSections(b)
		if err != nil {
			return
		}
		again, err := encodeSections(s)
		must(t, err)
		twice, err := decodeSections(again)
		must(t, err)
		if err := compareStates(s, twice); err != nil {
			t.Error(err)
		}
	})
}

func isExpectedRefusal(err error) bool {
	return errors.Is(err, ErrNewerVersion) || errors.Is(err, ErrWrongLog)
}
