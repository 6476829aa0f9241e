package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// An id is remembered by when its record came, also behind a restart: what the
// record's source says of its age does not matter, and what came in front of it is
// no reason to forget it.
func TestIdOfAnOldRecordIsRememberedByItsArrivalAfterARestart(t *testing.T) {
	const window = time.Minute
	for name, seal := range map[string]bool{"in the last segment": false, "in a sealed one": true} {
		t.Run(name, func(t *testing.T) {
			disk, clock := vfs.NewMem(1), time.Unix(1_000_000, 0)
			opts := smallSegments()
			opts.Dedup.Window = window
			open := func() *Log {
				l, err := openManualAt(disk, opts, func() time.Time { return clock })
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			l := open()
			old := withID(t, "s", "old")
			old.Timestamp = clock.AddDate(-1, 0, 0).UnixNano()
			if _, err := l.AppendIf(old, Conditions{MsgID: old.Payload}); err != nil {
				t.Fatal(err)
			}
			commitManual(t, l)
			if seal {
				l.retireTail()
				commitManual(t, l)
			}
			clock = clock.Add(window / 2)
			wantDuplicate(t, l, "old", 1)
			disk.ProcessCrash()

			l = open()
			wantDuplicate(t, l, "old", 1)
			disk.ProcessCrash()
			clock = clock.Add(2 * window)
			l = open()
			if seq, err := l.AppendIf(withID(t, "s", "old"), Conditions{MsgID: []byte("old")}); err != nil || seq != 2 {
				t.Errorf("behind its window: %d, %v", seq, err)
			}
			disk.ProcessCrash()
		})
	}
}

// An id in the headers counts whether it was looked up or not, before a restart as
// behind it.
func TestIdInTheHeadersCountsHoweverItsRecordWasAppended(t *testing.T) {
	for name, appendTo := range map[string]func(*Log, *Record) (uint64, error){
		"append":       func(l *Log, rec *Record) (uint64, error) { return l.Append(rec) },
		"append if":    func(l *Log, rec *Record) (uint64, error) { return l.AppendIf(rec, Conditions{}) },
		"append batch": func(l *Log, rec *Record) (uint64, error) { return l.AppendBatch([]Record{*rec}, BatchOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem(1)
			open := func() *Log {
				l, err := openManualAt(disk, smallSegments(), func() time.Time { return time.Unix(1_000_000, 0) })
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			l := open()
			if _, err := appendTo(l, withID(t, "s", "id")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				wantDuplicate(t, l, "id", 1)
				var conflict *ConflictError
				_, err := l.AppendIf(&Record{}, Conditions{ExpectLastMsgID: true, LastMsgID: []byte("x")})
				if !errors.As(err, &conflict) || conflict.ActualMsgID != "id" {
					t.Errorf("the last id: %v", err)
				}
				commitManual(t, l)
				disk.ProcessCrash()
				l = open()
			}
			disk.ProcessCrash()
		})
	}
}
