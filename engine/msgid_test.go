package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Blanks in front of a message id are stored with the record and are no part of
// it, before and after a restart.
func TestBlanksBeforeAMessageIdAreNoPartOfIt(t *testing.T) {
	disk := vfs.NewMem(1)
	opts := smallSegments()
	opts.Dedup = DedupOptions{Window: time.Minute, IDsMax: 50}
	open := func() *Log {
		l, err := openManualAt(disk, opts, func() time.Time { return time.Unix(1_000_000, 0) })
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	stored := Record{Headers: []byte("Nats-Msg-Id:   id\r\n")}
	if _, err := l.AppendIf(&stored, Conditions{MsgID: []byte("  id")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, id := range []string{"id", "    id"} {
			if seq, err := l.AppendIf(&Record{}, Conditions{MsgID: []byte(id)}); seq != 1 || !errors.Is(err, ErrDuplicate) {
				t.Errorf("%q: sequence %d, %v", id, seq, err)
			}
		}
		var conflict *ConflictError
		if _, err := l.AppendIf(&Record{}, Conditions{ExpectLastMsgID: true, LastMsgID: []byte("x")}); !errors.As(err, &conflict) || conflict.ActualMsgID != "id" {
			t.Errorf("the last id: %v", err)
		}
		commitManual(t, l)
		disk.ProcessCrash()
		l = open()
	}
}
