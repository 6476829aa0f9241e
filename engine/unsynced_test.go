package engine

import (
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// What a record says to be durable in front of it is what a sync has covered: not
// what was only written, which a power cut may take from in front of it.
func TestARecordCountsWhatWasOnlyWrittenAsNotDurable(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, LogOptions{})
	appendNumbered(t, l, 1, 1)
	commitManual(t, l)
	for n := 2; n <= 4; n++ {
		appendNumbered(t, l, n, 1)
		if !l.committer.step() || l.written.Load() != uint64(n) || l.durable.Load() != 1 {
			t.Fatalf("written up to %d, durable up to %d: record %d was to be written and not synced", l.written.Load(), l.durable.Load(), n)
		}
	}
	s := (*l.segments.Load())[0]
	contents, err := vfs.ReadFile(disk, s.path, s.tail.capacity)
	if err != nil {
		t.Fatal(err)
	}
	durableTo := s.durableEnd.Load()
	for at := int64(segment.HeaderBytes); at < s.writtenEnd.Load(); {
		var rec segment.Record
		size, err := segment.DecodeRecord(contents[at:], s.header.Salt, &rec)
		if err != nil {
			t.Fatal(err)
		}
		if want := at - durableTo; rec.Seq > 1 && int64(rec.Unsynced) != want {
			t.Errorf("record %d says that %d bytes in front of it are not durable, it is %d", rec.Seq, rec.Unsynced, want)
		}
		at += int64(size)
	}
}
