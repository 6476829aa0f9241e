package engine

import (
	"fmt"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Between a look at the sealed segments and the check under the lock, a subject
// may come up, be sealed and be dropped from memory.
func TestHistoryIsStaleOnceSubjectsWereDropped(t *testing.T) {
	l := openManual(t, vfs.NewMem(1), smallSegments())
	l.subjects.limit = 4
	add := func(subject string) {
		t.Helper()
		if _, err := l.Append(&Record{Subject: []byte(subject), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		commitManual(t, l)
	}
	add("first")
	before, err := l.subjects.history([]byte("wanted"))
	if err != nil {
		t.Fatal(err)
	}
	stale := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.subjects.staleLocked(before)
	}
	if stale() {
		t.Error("stale before anything happened")
	}
	add("wanted")
	l.retireTail()
	for l.keeper.step() {
	}
	for n := range 8 {
		add(fmt.Sprintf("other.%d", n))
	}
	if known, _ := l.subjects.tracked([]byte("wanted")); known {
		t.Fatal("the subject was not dropped")
	}
	if !stale() {
		t.Error("not stale after the subject was written, sealed and dropped")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
