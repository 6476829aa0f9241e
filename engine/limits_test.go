package engine

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestRecordsThatBreakARuleAreRefused(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), smallSegments())
	cases := []struct {
		name string
		rec  Record
		want error
	}{
		{"subject too long", Record{Subject: make([]byte, 65_536)}, ErrInvalidRecord},
		{"headers without a line break", Record{Headers: []byte("Key: value")}, ErrInvalidRecord},
		{"headers with a bare line feed", Record{Headers: []byte("Key: value\n")}, ErrInvalidRecord},
		{"no blank behind the colon", Record{Headers: []byte("Key:value\r\n")}, ErrInvalidRecord},
		{"no key", Record{Headers: []byte(": value\r\n")}, ErrInvalidRecord},
		{"blank key", Record{Headers: []byte(" : value\r\n")}, ErrInvalidRecord},
		{"blank around the key", Record{Headers: []byte("Key : value\r\n")}, ErrInvalidRecord},
		{"colon in the key", Record{Headers: []byte("Ke:y: value\r\n")}, ErrInvalidRecord},
		{"line feed in the value", Record{Headers: []byte("Key: val\nue\r\n")}, ErrInvalidRecord},
		{"carriage return in the value", Record{Headers: []byte("Key: val\rue\r\n")}, ErrInvalidRecord},
		{"keys out of order", Record{Headers: []byte("b: 1\r\na: 2\r\n")}, ErrInvalidRecord},
		{"an empty line behind", Record{Headers: []byte("a: 1\r\n\r\n")}, ErrInvalidRecord},
		{"headers too long", Record{Headers: []byte("a: " + strings.Repeat("x", 1<<20) + "\r\n")}, ErrInvalidRecord},
		{"longer than the largest segment", Record{Payload: make([]byte, segmentBytesFloor)}, ErrTooLarge},
		{"as long as the largest segment with what must follow", Record{Payload: make([]byte, segmentBytesFloor-segment.HeaderBytes-segment.RecordHeaderBytes-segment.FooterBytes)}, ErrTooLarge},
	}
	for _, c := range cases {
		for name, err := range map[string]error{
			"Append":      second(l.Append(&c.rec)),
			"AppendSync":  second(l.AppendSync(t.Context(), &c.rec)),
			"AppendIf":    second(l.AppendIf(&c.rec, Conditions{MsgID: []byte("id")})),
			"AppendBatch": second(l.AppendBatch([]Record{{Payload: []byte("good")}, c.rec}, BatchOptions{})),
		} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v", c.name, name, err)
			}
		}
	}
	if last := l.Watermarks().Appended; last != 0 {
		t.Errorf("%d records were appended all the same", last)
	}
}

func TestRecordLongerThanTheFormatAllowsIsTooLarge(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), LogOptions{SegmentBytesMax: segment.SegmentBytesMax})
	for payload, fits := range map[int]bool{
		segment.RecordBytesMax - segment.RecordHeaderBytes - 8: true, segment.RecordBytesMax: false, segment.SegmentBytesMax: false,
		segment.SegmentBytesMax * 3: false, 1 << 60: false,
	} {
		if _, err := l.checkSize(8, 0, payload); errors.Is(err, ErrTooLarge) == fits || fits && err != nil {
			t.Errorf("a payload of %d bytes: %v", payload, err)
		}
	}
}

func TestEncodeHeadersKeepsWhatItIsGivenOrRefusesIt(t *testing.T) {
	headers, err := EncodeHeaders(map[string][]string{"b": {"2", ""}, "a": {" 1: x"}, "none": {}})
	if want := "a:  1: x\r\nb: 2\r\nb: \r\n"; err != nil || string(headers) != want {
		t.Fatalf("%q, %v", headers, err)
	}
	var seen []string
	EachHeader(headers, func(key, value []byte) bool {
		seen = append(seen, string(key)+"="+string(value))
		return len(seen) < 2
	})
	if fmt.Sprint(seen) != "[a= 1: x b=2]" {
		t.Errorf("seen %q", seen)
	}
	for _, bad := range []map[string][]string{
		{"": {"x"}}, {"a:b": {"x"}}, {"a\r\nb": {"x"}}, {" a": {"x"}}, {"a ": {"x"}}, {"a": {"x\r\nb: y"}}, {"a": {"x\ny"}}, {"a": {"x\r"}}, {"a": {"b\r\n"}},
	} {
		if out, err := EncodeHeaders(bad); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%q became %q, %v", bad, out, err)
		}
	}
}

// Records of every length come back as they were: from an open segment, a sealed
// one, after a kill and after a power cut.
func TestRecordsOfEveryLengthSurviveSealAndCrash(t *testing.T) {
	disk := vfs.NewMem(3)
	l := openManual(t, disk, smallSegments())
	var want []Record
	add := func(subject, headers, payload int) {
		rec := Record{
			Subject: bytes.Repeat([]byte("s"), subject), Payload: bytes.Repeat([]byte{byte(payload), 1}, payload)[:payload],
			Timestamp: int64(len(want)*7 - 500), ExtID: uint64(payload), SnapshotBoundary: payload%5 == 0,
		}
		if headers > 0 {
			rec.Headers = []byte("k: " + strings.Repeat("v", headers) + "\r\n")
		}
		if rec.Timestamp == 0 {
			rec.Timestamp = 1 // 0 means now
		}
		seq, err := l.Append(&rec)
		if err != nil {
			t.Fatal(err)
		}
		rec.Seq = seq
		want = append(want, rec)
	}
	check := func(when string) {
		t.Helper()
		got := readAll(t, l, ReadOptions{})
		if len(got) != len(want) {
			t.Fatalf("%s: %d records of %d", when, len(got), len(want))
		}
		for i := range got {
			if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
				t.Fatalf("%s: record %d is\n%+v\nwant\n%+v", when, i+1, got[i], want[i])
			}
		}
	}
	for length := range 70 {
		add(1+length%9, length%3*length, length)
	}
	add(65_535-60_000, 0, 0)
	add(1, 30_000, 1)
	commitManual(t, l)
	check("live")
	l.retireTail()
	for l.keeper.step() {
	}
	check("sealed")
	for length := range 70 {
		add(1, 0, 69-length)
	}
	commitManual(t, l)
	for when, end := range map[string]func(){"killed": disk.ProcessCrash, "power cut": disk.PowerCut} {
		end()
		l = openManual(t, disk, smallSegments())
		check(when)
	}
	disk.ProcessCrash()
}

func TestLongestSubject(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), LogOptions{})
	subject := bytes.Repeat([]byte("a.b"), 21_845)
	for range 3 {
		if _, err := l.AppendSync(t.Context(), &Record{Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if records := readAll(t, l, ReadOptions{Subjects: []string{"a.>"}}); len(records) != 3 || !bytes.Equal(records[2].Subject, subject) || len(records[2].Payload) != 0 {
		t.Errorf("%d records", len(records))
	}
	seq, err := l.AppendIf(&Record{Subject: subject}, Conditions{ExpectLastSubjectSeq: true, LastSubjectSeq: 3})
	if err != nil || seq != 4 {
		t.Errorf("%d, %v", seq, err)
	}
}

func TestRecordWithoutSubjectHasThatOfItsLog(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), LogOptions{})
	if _, err := l.AppendSync(t.Context(), &Record{}); err != nil {
		t.Fatal(err)
	}
	if records := readAll(t, l, ReadOptions{}); len(records) != 1 || string(records[0].Subject) != "orders" || records[0].Timestamp == 0 {
		t.Errorf("%+v", records)
	}
}

// A thousand logs that nobody writes neither write nor sync, and none of them
// has a timer running.
func TestIdleLogsCostNothing(t *testing.T) {
	const logs = 1000
	disk := vfs.NewTraced(vfs.NewMem(1), simRoot)
	e := openOnDisk(t, simRoot, Options{FS: disk, HotBytesMax: 4 << 30})
	for n := range logs {
		if _, err := e.OpenLog(fmt.Sprintf("idle-%d", n), smallSegments()); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := e.OpenLog("busy", smallSegments())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range e.openLogs() { // their first segments are prepared
		l.keeper.done.Wait()
	}
	disk.Reset()
	for range 300 {
		if _, err := busy.AppendSync(t.Context(), &Record{Payload: make([]byte, 500)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range disk.Lines() {
		if strings.Contains(line, "idle-") {
			t.Fatalf("an idle log does: %s", line)
		}
	}
}

func TestLogThatWasWrittenIsIdleAgainBehindItsMark(t *testing.T) {
	disk := vfs.NewTraced(vfs.NewMem(1), simRoot)
	opts := smallSegments()
	opts.SegmentAgeMax = 0
	l := openManual(t, disk, opts)
	for l.keeper.step() {
	}
	idle := func(when string) {
		t.Helper()
		disk.Reset()
		if l.committer.step() || l.keeper.step() || len(disk.Lines()) > 0 {
			t.Errorf("%s: there is something to do: %q", when, disk.Lines())
		}
		if wait := l.committer.idleTime(); wait != idleForever {
			t.Errorf("%s: it wakes up in %v", when, wait)
		}
	}
	idle("never written")
	appendNumbered(t, l, 1, 3)
	commitManual(t, l)
	if wait := l.committer.idleTime(); wait != durableMarkDelay {
		t.Errorf("the mark comes in %v", wait)
	}
	l.committer.tick()
	idle("behind the mark")
	if err := errors.Join(l.Close(), l.engine.Close()); err != nil {
		t.Fatal(err)
	}
	l = openManual(t, disk, opts)
	for l.keeper.step() {
	}
	idle("opened again")
	if err := errors.Join(l.Close(), l.engine.Close()); err != nil {
		t.Fatal(err)
	}
}

// steppingClock moves by a step at each look.
func steppingClock(from time.Time, step time.Duration) func() time.Time {
	var mu sync.Mutex
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		from = from.Add(step)
		return from
	}
}

// Whatever the clock says, a record that nobody waits for is synced, and no
// record is lost.
func TestClocksThatAreWrong(t *testing.T) {
	for name, now := range map[string]func() time.Time{
		"runs backwards":       steppingClock(time.Unix(2_000_000, 0), -time.Hour),
		"stands before 1970":   steppingClock(time.Unix(-1_000_000, 0), time.Millisecond),
		"stands still":         func() time.Time { return time.Unix(1, 0) },
		"stands at the border": steppingClock(time.Unix(0, -500), 100),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			disk := vfs.NewMem(1)
			opts := smallSegments()
			opts.FlushInterval = time.Millisecond
			e := openOnDisk(t, simRoot, Options{FS: disk, Now: now})
			l := openLogTest(t, e, opts)
			for n := 1; n <= 900; n += 300 {
				appendNumbered(t, l, n, 300)
				if name == "stands still" {
					l.Request(uint64(n+299), Durable)
				}
				eventually(t, "records that nobody waits for are synced", func() bool { return l.Watermarks().Durable == uint64(n+299) })
			}
			if err := l.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			disk.PowerCut()
			l = openLogTest(t, openOnDisk(t, simRoot, Options{FS: disk, Now: now}), opts)
			wantRecords(t, readAll(t, l, ReadOptions{}), 1, 900)
		})
	}
}

func TestSegmentIsSealedByItsAgeAndNotByThatOfItsRecords(t *testing.T) {
	events := &eventLog{}
	opts := smallSegments()
	opts.SegmentAgeMax = time.Hour
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1), OnEvent: events.note}), opts)
	for range 50 {
		if _, err := l.AppendSync(t.Context(), &Record{Timestamp: 1, Payload: []byte("from 1970")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.State().Segments); n != 1 || l.State().Segments[0].Sealed {
		t.Errorf("%d segments for 50 old records", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	opts.SegmentAgeMax = time.Nanosecond
	l = openLogTest(t, l.engine, opts)
	eventually(t, "a segment that was continued is sealed", func() bool { return l.State().Segments[0].Sealed })
	if _, err := l.AppendSync(t.Context(), &Record{Timestamp: time.Now().Add(time.Hour).UnixNano(), Payload: []byte("from the future")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new segment is sealed", func() bool { return len(events.of(EventSegmentSealed)) == 2 })
	if wait := l.untilSealByAge(); wait != idleForever {
		t.Errorf("with all sealed it wakes up in %v", wait)
	}
	if records := readAll(t, l, ReadOptions{}); len(records) != 51 {
		t.Errorf("%d records", len(records))
	}
}
