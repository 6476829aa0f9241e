package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// This file holds what the tests of this package share.

// openTest opens an engine on fs and closes it when the test ends, checking
// that no file and no map stays open.
func openTest(t *testing.T, dir string) *Engine {
	t.Helper()
	disk := vfs.OS()
	e, err := Open(dir, Options{FS: disk})
	if err != nil {
		t.Fatalf("open engine: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil && !errors.Is(err, ErrPoisoned) {
			t.Errorf("close engine: %v", err)
		}
		wantNothingOpen(t, disk)
	})
	return e
}

func openLogTest(t *testing.T, e *Engine, opts LogOptions) *Log {
	t.Helper()
	l, err := e.OpenLog("orders", opts)
	if err != nil {
		t.Fatalf("open log: %v", err)
	}
	return l
}

// payloadOf is a payload that says which record it is, of varying size.
func payloadOf(n int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%08d.", n)), 17)[:9+n%130]
}

func appendMany(t *testing.T, l *Log, first, count int) {
	t.Helper()
	for n := first; n < first+count; n++ {
		rec := Record{Subject: []byte(fmt.Sprintf("orders.%d", n%7)), Payload: payloadOf(n)}
		seq, err := l.AppendSync(t.Context(), &rec)
		if err != nil {
			t.Fatalf("append %d: %v", n, err)
		}
		if seq != uint64(n) {
			t.Fatalf("append %d got sequence %d", n, seq)
		}
	}
}

// readAll returns clones of what a reader returns until the end.
func readAll(t *testing.T, l *Log, opts ReadOptions) []Record {
	t.Helper()
	r, err := l.NewReader(opts)
	if err != nil {
		t.Fatalf("new reader: %v", err)
	}
	var out []Record
	for {
		rec, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("read behind %d records: %v", len(out), err)
		}
		out = append(out, rec.Clone())
	}
	if err := r.Close(); err != nil {
		t.Fatalf("close reader: %v", err)
	}
	return out
}

// wantRecords checks that records are first, first+1, … as appendMany wrote
// them.
func wantRecords(t *testing.T, records []Record, first, count int) {
	t.Helper()
	if len(records) != count {
		t.Fatalf("read %d records, want %d", len(records), count)
	}
	for i, rec := range records {
		n := first + i
		if rec.Seq != uint64(n) || !bytes.Equal(rec.Payload, payloadOf(n)) || string(rec.Subject) != fmt.Sprintf("orders.%d", n%7) {
			t.Fatalf("record %d is %d %q %q", n, rec.Seq, rec.Subject, rec.Payload)
		}
	}
}

func wantNothingOpen(t *testing.T, fs vfs.FS) {
	t.Helper()
	if files, maps := vfs.OpenHandles(fs); files != 0 || maps != 0 {
		t.Errorf("%d files and %d maps are open", files, maps)
	}
}
