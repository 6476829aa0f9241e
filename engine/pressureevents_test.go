package engine

import (
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// While the committer waits for a disk that hangs it tells nobody anything. Changes
// of pressure that happen meanwhile take no more memory than a few do.
func TestPressureThatComesAndGoesWhileTheDiskHangsTakesNoMemory(t *testing.T) {
	events := &eventLog{}
	e := openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1), OnEvent: events.note, manual: true})
	l := openLogTest(t, e, LogOptions{UnflushedBytesMax: 4 * mib})
	large := &Record{Payload: make([]byte, 4*mib)}
	const changes = 5000
	for n := range changes {
		if _, err := l.Append(numbered(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(large); err == nil {
			t.Fatal("a record that does not fit is taken")
		}
	}
	if told := len(l.mu.pressure.announce); told > 2*announceMax {
		t.Errorf("%d events wait to be told", told)
	}
	commitManual(t, l)
	if _, err := l.Append(numbered(1)); err != nil {
		t.Fatal(err)
	}
	commitManual(t, l)
	refused, last := uint64(0), EventKind("")
	for _, event := range events.of(EventBackpressureEntered, EventBackpressureCleared) {
		if event.Kind == last {
			t.Errorf("%s is told twice in a row", event.Kind)
		}
		last, refused = event.Kind, refused+event.Refused
	}
	if last != EventBackpressureCleared || refused != changes || l.State().Refused[Flush] != changes {
		t.Errorf("%s is told last, with %d refused records in all; counted are %v", last, refused, l.State().Refused)
	}
}
