package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// withID is a record that stores its message id as AppendIf asks for.
func withID(t *testing.T, subject, id string) *Record {
	t.Helper()
	headers, err := EncodeHeaders(map[string][]string{"Nats-Msg-Id": {id}})
	if err != nil {
		t.Fatal(err)
	}
	return &Record{Subject: []byte(subject), Headers: headers, Payload: []byte(id)}
}

// appendID appends with an id and makes it durable.
func appendID(t *testing.T, l *Log, subject, id string) uint64 {
	t.Helper()
	seq, err := l.AppendIf(withID(t, subject, id), Conditions{MsgID: []byte(id)})
	if err != nil {
		t.Fatalf("append %s: %v", id, err)
	}
	if err := l.Wait(shortly(t), seq, Durable); err != nil {
		t.Fatal(err)
	}
	return seq
}

func wantDuplicate(t *testing.T, l *Log, id string, original uint64) {
	t.Helper()
	last := l.Watermarks().Appended
	seq, err := l.AppendIf(withID(t, "s", id), Conditions{MsgID: []byte(id)})
	if !errors.Is(err, ErrDuplicate) || seq != original {
		t.Errorf("id %s: %d, %v, want a duplicate of %d", id, seq, err, original)
	}
	if now := l.Watermarks().Appended; now != last {
		t.Errorf("a duplicate was appended as %d", now)
	}
}

func TestConditionsAreCheckedInTheirOrder(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), LogOptions{})
	appendID(t, l, "a", "id-1") // 1
	appendID(t, l, "b", "id-2") // 2
	good := Conditions{
		ExpectLastSubjectSeq: true, LastSubjectSeq: 1, ExpectLastSeq: true, LastSeq: 2,
		MsgID: []byte("id-3"), ExpectLastMsgID: true, LastMsgID: []byte("id-2"),
	}
	steps := []struct {
		name  string
		spoil func(*Conditions)
		check func(uint64, error) bool
	}{
		{"last sequence of the subject", func(c *Conditions) { c.LastSubjectSeq = 2 }, conflicts(ConflictLastSubjectSeq, 1, "")},
		{"last sequence", func(c *Conditions) { c.LastSeq = 1 }, conflicts(ConflictLastSeq, 2, "")},
		{"duplicate", func(c *Conditions) { c.MsgID = []byte("id-1") }, func(seq uint64, err error) bool { return seq == 1 && errors.Is(err, ErrDuplicate) }},
		{"last message id", func(c *Conditions) { c.LastMsgID = []byte("id-1") }, conflicts(ConflictLastMsgID, 0, "id-2")},
	}
	for first := range steps {
		c := good
		for _, step := range steps[first:] { // all of these do not hold: the first is told
			step.spoil(&c)
		}
		seq, err := l.AppendIf(withID(t, "a", "id-3"), c)
		if !steps[first].check(seq, err) {
			t.Errorf("%s: %d, %v", steps[first].name, seq, err)
		}
	}
	if last := l.Watermarks().Appended; last != 2 {
		t.Fatalf("appended %d", last)
	}
	if seq, err := l.AppendIf(withID(t, "a", "id-3"), good); err != nil || seq != 3 {
		t.Fatalf("%d, %v", seq, err)
	}
	wantDuplicate(t, l, "id-3", 3)
}

func conflicts(kind ConflictKind, seq uint64, id string) func(uint64, error) bool {
	return func(got uint64, err error) bool {
		var conflict *ConflictError
		return got == 0 && errors.Is(err, ErrConflict) && errors.As(err, &conflict) && *conflict == ConflictError{kind, seq, id}
	}
}

func TestLastMessageIDIsThatOfTheLastRecordAlsoAfterARestart(t *testing.T) {
	disk := vfs.NewMem(1)
	l := openManual(t, disk, smallSegments())
	expect := func(want string) {
		t.Helper()
		_, err := l.AppendIf(&Record{Payload: []byte("x")}, Conditions{ExpectLastMsgID: true, LastMsgID: []byte("no such id")})
		if !conflicts(ConflictLastMsgID, 0, want)(0, err) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	restart := func() {
		t.Helper()
		commitManual(t, l)
		disk.ProcessCrash()
		l = openManual(t, disk, smallSegments())
	}
	expect("")
	for _, id := range []string{"first", "second"} {
		if _, err := l.AppendIf(withID(t, "s", id), Conditions{MsgID: []byte(id)}); err != nil {
			t.Fatal(err)
		}
		expect(id)
	}
	restart()
	expect("second")
	if _, err := l.AppendIf(&Record{Payload: []byte("x")}, Conditions{ExpectLastMsgID: true, LastMsgID: []byte("second")}); err != nil {
		t.Fatal(err)
	}
	expect("")
	restart()
	expect("")
	if _, err := l.AppendIf(withID(t, "s", "third"), Conditions{MsgID: []byte("third")}); err != nil {
		t.Fatal(err)
	}
	expect("third")
	appendNumbered(t, l, 5, 1)
	expect("")
	restart()
	expect("")
	disk.ProcessCrash()
}

// subjectModel is the naive answer to the last sequence of a filter.
type subjectModel []string

func (m subjectModel) last(filter string) uint64 {
	for i := len(m) - 1; i >= 0; i-- {
		if naiveMatch(filter, m[i]) {
			return uint64(i + 1)
		}
	}
	return 0
}

// Expectations about subjects, literal and with wildcards, are compared with
// the naive answer, over seals, restarts, and segments whose index has filters
// instead of a dictionary. So many subjects come up that the tracker sheds.
func TestExpectedSubjectSequencesOverSealsAndRestarts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	disk := vfs.NewMem(1)
	var model subjectModel
	for round := range 6 {
		l := openManual(t, disk, smallSegments())
		l.subjects.limit = 40
		for range 250 {
			expectSubject(t, l, random, &model, round)
			if random.IntN(40) == 0 {
				commitManual(t, l)
				l.retireTail()
				for l.keeper.step() {
				}
			}
		}
		commitManual(t, l)
		if round%2 == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if shed := l.subjects.shed; shed == 0 {
			t.Errorf("round %d: the tracker shed nothing", round)
		}
		disk.ProcessCrash()
	}
}

// expectSubject appends a record on an expectation that is sometimes wrong.
func expectSubject(t *testing.T, l *Log, random *rand.Rand, model *subjectModel, round int) {
	t.Helper()
	subject := fmt.Sprintf("s.%d.%d", random.IntN(4), random.IntN(30))
	if round >= 3 { // long names of which most come once: filters, and no dictionary
		subject = fmt.Sprintf("s.%d.%s%d", random.IntN(4), strings.Repeat("long", 30), random.IntN(2000))
	}
	filter := [...]string{"", "", "", "s.*.1", "s.2.>", ">", "s.9.>", "s.1.7", "s.*"}[random.IntN(9)]
	asked := filter
	if filter == "" {
		asked = subject
	}
	actual := model.last(asked)
	c := Conditions{ExpectLastSubjectSeq: true, LastSubjectSeq: actual, LastSubjectFilter: []byte(filter)}
	if random.IntN(5) == 0 {
		c.LastSubjectSeq = uint64(random.IntN(len(*model) + 2))
	}
	commitManual(t, l) // the first expectation waits until what was appended is written
	rec := Record{Subject: []byte(subject), Payload: make([]byte, 150)}
	seq, err := l.AppendIf(&rec, c)
	for errors.Is(err, ErrBackpressure) { // it takes many reads
		l.moves.Wait()
		seq, err = l.AppendIf(&rec, c)
	}
	switch {
	case c.LastSubjectSeq != actual:
		if !conflicts(ConflictLastSubjectSeq, actual, "")(seq, err) {
			t.Fatalf("%q expects %d: %d, %v, want a conflict with %d", asked, c.LastSubjectSeq, seq, err, actual)
		}
	case err != nil || seq != uint64(len(*model)+1):
		t.Fatalf("%q expects %d rightly: %d, %v", asked, actual, seq, err)
	default:
		*model = append(*model, subject)
	}
}

// Many goroutines count up one subject, each by the sequence that it saw last:
// of two that saw the same one wins.
func TestExpectedSubjectSequenceLetsOneOfManyWin(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), smallSegments())
	l.subjects.limit = 5
	const counters, each = 4, 60
	var group sync.WaitGroup
	for counter := range counters {
		subject := []byte(fmt.Sprintf("count.%d", counter%2))
		group.Go(func() {
			var seen uint64
			for won := 0; won < each; {
				seq, err := l.AppendIf(&Record{Subject: subject, Payload: fmt.Append(nil, seen)}, Conditions{ExpectLastSubjectSeq: true, LastSubjectSeq: seen})
				var conflict *ConflictError
				switch {
				case err == nil:
					seen = seq
					won++
				case errors.As(err, &conflict):
					seen = conflict.ActualSeq
				default:
					t.Errorf("%s: %v", subject, err)
					return
				}
			}
		})
	}
	group.Go(func() {
		for n := range 300 { // others make the tracker shed and the segments roll
			if _, err := l.AppendSync(shortly(t), &Record{Subject: fmt.Appendf(nil, "other.%d", n), Payload: make([]byte, 700)}); err != nil {
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	group.Wait()
	if err := l.Wait(shortly(t), l.Watermarks().Appended, Durable); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"count.0", "count.1"} {
		var before uint64
		records := readAll(t, l, ReadOptions{Subjects: []string{subject}})
		if len(records) != counters/2*each {
			t.Errorf("%s: %d records", subject, len(records))
		}
		for _, rec := range records {
			if string(rec.Payload) != fmt.Sprint(before) {
				t.Fatalf("%s: record %d follows %d and was appended behind %s", subject, rec.Seq, before, rec.Payload)
			}
			before = rec.Seq
		}
	}
}

// The window is bounded by time and by the number of ids, and is the same after
// a clean close, after a kill and after a power cut.
func TestDuplicateIsRefusedInsideItsWindowAlsoAfterARestart(t *testing.T) {
	const window = time.Minute
	restarts := map[string]func(t *testing.T, l *Log, disk *vfs.Mem){
		"none": nil,
		"close": func(t *testing.T, l *Log, disk *vfs.Mem) {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			disk.ProcessCrash()
		},
		"kill":      func(_ *testing.T, _ *Log, disk *vfs.Mem) { disk.ProcessCrash() },
		"power cut": func(_ *testing.T, _ *Log, disk *vfs.Mem) { disk.PowerCut() },
	}
	for name, restart := range restarts {
		t.Run(name, func(t *testing.T) {
			disk, clock := vfs.NewMem(1), time.Unix(1_000_000, 0)
			opts := smallSegments()
			opts.Dedup = DedupOptions{Window: window, IDsMax: 50}
			var l *Log
			reopen := func() {
				t.Helper()
				if restart == nil && l != nil {
					return
				}
				if l != nil {
					commitManual(t, l)
					restart(t, l, disk)
				}
				var err error
				if l, err = openManualAt(disk, opts, func() time.Time { return clock }); err != nil {
					t.Fatal(err)
				}
			}
			reopen()
			sequences := map[int]uint64{}
			add := func(n int) {
				t.Helper()
				seq, err := l.AppendIf(withID(t, "s", fmt.Sprint("id-", n)), Conditions{MsgID: fmt.Append(nil, "id-", n)})
				if err != nil {
					t.Fatalf("id %d: %v", n, err)
				}
				sequences[n] = seq
			}
			for n := range 60 { // 50 of them are remembered
				add(n)
				if n%9 == 0 {
					appendNumbered(t, l, int(l.Watermarks().Appended)+1, 7)
				}
				if n%20 == 7 {
					commitManual(t, l)
					l.retireTail()
				}
			}
			reopen()
			for n := 10; n < 60; n++ {
				wantDuplicate(t, l, fmt.Sprint("id-", n), sequences[n])
			}
			add(9) // was pushed out, and pushes out 10
			add(10)
			if got := l.State().DedupWindow; got >= window {
				t.Errorf("the window is %v while ids are pushed out", got)
			}
			clock = clock.Add(window / 2)
			add(100)
			clock = clock.Add(window / 2)
			reopen()
			wantDuplicate(t, l, "id-59", sequences[59])
			clock = clock.Add(time.Nanosecond)
			reopen()
			wantDuplicate(t, l, "id-100", sequences[100])
			if restart != nil {
				if got := l.State().DedupWindow; got != window {
					t.Errorf("the window is %v", got)
				}
			}
			add(59) // its time was over
			clock = clock.Add(-10 * window)
			reopen()
			wantDuplicate(t, l, "id-59", sequences[59])
			wantDuplicate(t, l, "id-100", sequences[100])
			disk.ProcessCrash()
		})
	}
}

// What is refused leaves no id behind: the client that tries again is no
// duplicate of itself.
func TestRefusedAppendIsNotRemembered(t *testing.T) {
	disk := vfs.NewMem(1)
	opts := LogOptions{UnflushedBytesMax: segmentBytesFloor}
	l := openManual(t, disk, opts)
	appendNumbered(t, l, 1, 1)
	rec := withID(t, "s", "id")
	rec.Payload = make([]byte, segmentBytesFloor)
	for _, c := range []Conditions{
		{MsgID: []byte("id")}, // backpressure
		{MsgID: []byte("id"), ExpectLastSeq: true, LastSeq: 7},
		{MsgID: []byte("id"), ExpectLastMsgID: true, LastMsgID: []byte("other")},
		{MsgID: []byte("id"), ExpectLastSubjectSeq: true, LastSubjectSeq: 7, LastSubjectFilter: []byte("none")},
	} {
		if c.ExpectLastSubjectSeq {
			commitManual(t, l)
		}
		if _, err := l.AppendIf(rec, c); !errors.Is(err, ErrBackpressure) && !errors.Is(err, ErrConflict) {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	commitManual(t, l)
	if seq, err := l.AppendIf(rec, Conditions{MsgID: []byte("id")}); err != nil || seq != 2 {
		t.Errorf("the second try: %d, %v", seq, err)
	}
	disk.ProcessCrash()
}

// Of many that bring the same id one is appended, all get its sequence.
func TestDuplicatesAtTheSameTime(t *testing.T) {
	l := openLogTest(t, openOnDisk(t, simRoot, Options{FS: vfs.NewMem(1)}), LogOptions{})
	const publishers, ids = 4, 100
	sequences := make([][ids]uint64, publishers)
	var group sync.WaitGroup
	for p := range publishers {
		group.Go(func() {
			for n := range ids {
				id := fmt.Append(nil, n)
				seq, err := l.AppendIf(&Record{Payload: id}, Conditions{MsgID: id})
				if err != nil && !errors.Is(err, ErrDuplicate) {
					t.Errorf("id %d: %v", n, err)
				}
				if err := l.Wait(context.Background(), seq, Durable); err != nil {
					t.Errorf("id %d: %v", n, err)
				}
				sequences[p][n] = seq
			}
		})
	}
	group.Wait()
	for p := range publishers {
		if sequences[p] != sequences[0] {
			t.Errorf("publisher %d got other sequences", p)
		}
	}
	if last := l.Watermarks().Durable; last != ids {
		t.Errorf("%d records for %d ids", last, ids)
	}
}
