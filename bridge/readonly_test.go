package bridge

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

// A bridge on an engine that only reads serves what another process writes.
func TestBridgeOnAReadOnlyEngineSeesWhatItsWriterDoes(t *testing.T) {
	root := t.TempDir()
	writer, err := engine.Open(root, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
	log, err := writer.OpenLog("ORDERS", engine.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fillLog(t, log, 3)
	seal := func() { // proves to other processes that its records are durable
		t.Helper()
		if err := log.Seal(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	seal()
	reading, err := engine.OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reading.Close() })
	b := startBridge(t, Options{Engine: reading, ReadLogs: []string{"ORDERS"}})
	conn := connect(t, b.ClientURL())
	r := beginReplay(t, conn, `{"follow":true,"idle_heartbeat_ms":100,"to_seq":5}`)
	var records []uint64
	for len(records) < 3 {
		if m := r.next(); !r.isMark(m) {
			records = append(records, uint64(len(records)+1))
		}
	}
	fillOne(t, log)
	fillOne(t, log)
	seal()
	more, _ := r.until("204", "EOB")
	if got := seqsOf(t, more, r.reply); !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("got %v", got)
	}
	fillOne(t, log)
	seal()
	eventually(t, "a direct get sees the new record", func() bool {
		return ask(t, conn, `{"seq":6}`, 1)[0].Header.Get(headerSequence) == "6"
	})
}

func FuzzReadRequests(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `{"from_seq":1,"subjects":["a.>"]}`, `{"from_time":"2026-01-01T00:00:00Z"}`, `{"seq":1,"batch":-1}`,
		`{"last_by_subj":"a..b"}`, `{"window_bytes":-1}`, `[]`, `{"seq":18446744073709551616}`, `{"start_time":"x"}`,
	} {
		f.Add("NATS/1.0\r\nNats-Required-Api-Level: 5\r\n\r\n", body)
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		if r, err := decodeReplayRequest([]byte(body)); err == nil {
			if r.WindowBytes < windowBytesMin || r.WindowBytes > windowBytesMax || r.IdleHeartbeatMs <= 0 || len(r.Subjects) > replaySubjectsMax {
				t.Errorf("accepted %+v", r)
			}
			for _, subject := range r.Subjects {
				if errors.Is(validatePattern(subject), ErrSubject) {
					t.Errorf("accepted the subject %q", subject)
				}
			}
		}
		_, status := decodeDirectRequest([]byte(header), []byte(body), false)
		if status == "" && !json.Valid([]byte(body)) {
			t.Errorf("accepted %q", body)
		}
	})
}
