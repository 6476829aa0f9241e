package engine

import (
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// openOn opens the engine and the log on a simulated disk, without goroutines.
func openOn(disk vfs.FS) (*Log, error) {
	e, err := Open("root", Options{FS: disk, manual: true, reserveBytes: 4096})
	if err != nil {
		return nil, err
	}
	opts := LogOptions{SegmentBytesMin: 16 << 10, SegmentBytesMax: 16 << 10}
	opts.ensureDefaults()
	return e.openLog("a", opts)
}

// tornAcrossPages is a disk whose only segment ends in the first 16 bytes of a
// record, in front of a page border: the rest of the record was lost.
func tornAcrossPages(t *testing.T, seed uint64) *vfs.Mem {
	t.Helper()
	const cutAt, remnant = 4080, 16
	disk := vfs.NewMem(seed)
	l, err := openOn(disk)
	if err != nil {
		t.Fatal(err)
	}
	header := segment.Header{LogID: l.ID(), ID: 1, BaseSeq: 1, Created: 1, Epoch: 1, Salt: 77}
	var encoded [segment.HeaderBytes]byte
	header.Encode(&encoded)
	body := make([]byte, cutAt-segment.HeaderBytes-segment.RecordHeaderBytes-1)
	contents := segment.AppendRecord(encoded[:], header.Salt, &segment.Record{Seq: 1, Subject: []byte("s"), Payload: body})
	contents = segment.AppendRecord(contents, header.Salt, &segment.Record{Seq: 2, Unsynced: cutAt - segment.HeaderBytes, Subject: []byte("s"), Payload: body})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	disk.ProcessCrash()
	path := filepath.Join(l.paths.segments, segmentName{id: 1, baseSeq: 1, created: 1}.String())
	if err := vfs.WriteFileAtomic(disk, path, append(contents[:cutAt+remnant], make([]byte, 16<<10-cutAt-remnant)...)); err != nil {
		t.Fatal(err)
	}
	return disk
}

func TestACrashWhileACutIsSealedIsNoDamage(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		for crashAt := 1; ; crashAt++ {
			disk := tornAcrossPages(t, seed)
			crashed := crashesOpening(disk, crashAt)
			disk.PowerCut()
			l, err := openOn(disk)
			if err != nil {
				t.Fatalf("seed %d, crash at operation %d: %v", seed, crashAt, err)
			}
			if len(l.recovery.Damaged) > 0 || l.Watermarks().Durable != 1 {
				t.Fatalf("seed %d, crash at operation %d: %v, last %d", seed, crashAt, l.recovery.Damaged, l.Watermarks().Durable)
			}
			if !crashed {
				break
			}
		}
	}
}

// crashesOpening opens the log on a disk that crashes at an operation and
// reports whether it came that far.
func crashesOpening(disk *vfs.Mem, crashAt int) (crashed bool) {
	disk.CrashAt(crashAt)
	defer disk.CrashAt(0)
	defer func() {
		if cause := recover(); cause != nil {
			if _, crashed = cause.(vfs.Crashed); !crashed {
				panic(cause)
			}
		}
	}()
	_, err := openOn(disk)
	return err != nil
}
