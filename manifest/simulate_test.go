package manifest

// This file is the crash simulation: seeded histories on a disk that loses power
// at any operation, fails syncs and is damaged, against a model that knows what
// was promised.

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// simulation is one history.
type simulation struct {
	seed   uint64
	random *rand.Rand
	gen    *generator
	disk   *vfs.Mem
	clock  Options

	// The model: signatures of the records by ordinal - 1, the state after so many
	// records, and how many of them were promised.
	signatures []string
	states     []*State
	promised   int
	pruned     uint64 // records below this ordinal may have been removed

	w        *Writer
	last     vfs.Operation // the last operation that changes the disk
	opening  bool
	closed   bool // the last round ended with a clean close
	failed   bool // a sync failed since the last power cut
	damage   *plantedDamage
	met      map[string]int
	problems []string
}

func newSimulation(seed uint64) *simulation {
	random := rand.New(rand.NewPCG(seed, 0x6d616e6966657374))
	s := &simulation{seed: seed, random: random, gen: &generator{random: random}, disk: vfs.NewMem(seed),
		clock: testOptions(), states: []*State{NewState()}, met: map[string]int{}}
	s.disk.LoseSizeOnFailedSync(random.IntN(2) == 0)
	return s
}

// tracef prints what happens, with -show.
func (s *simulation) tracef(f string, v ...any) {
	if *traceHistories {
		fmt.Printf(f+"\n", v...)
	}
}

func (s *simulation) meet(situation string) { s.met[situation]++ }

func (s *simulation) problem(format string, values ...any) {
	s.problems = append(s.problems, fmt.Sprintf("seed %d: ", s.seed)+fmt.Sprintf(format, values...))
}

func (s *simulation) percent(p int) bool { return s.random.IntN(100) < p }

// run plays a whole history and returns what went wrong.
func (s *simulation) run() []string {
	rounds := 2 + s.random.IntN(5)
	damageAt := -1
	if s.percent(35) {
		damageAt = 1 + s.random.IntN(rounds)
	}
	for round := range rounds + 2 {
		final := round >= rounds
		s.arm(final)
		end := s.round(final)
		s.meet("round ended: " + end)
		s.tracef("round %d ended: %s, promised %d of %d", round, end, s.promised, len(s.signatures))
		s.closed = end == "closed"
		s.stop(final || round == rounds-1)
		if round+1 == damageAt {
			s.plant()
		}
		if len(s.problems) > 0 {
			return s.problems
		}
	}
	if n := s.disk.OpenFiles(); n != 0 {
		s.problem("%d files are open at the end", n)
	}
	return s.problems
}

// arm decides what will happen to the disk in the next round.
func (s *simulation) arm(final bool) {
	s.disk.CrashAt(0)
	s.disk.FailSync(0)
	s.disk.SetCapacity(0)
	s.disk.BeforeOperation(func(op vfs.Operation) {
		s.last = op
		s.tracef("  %s", op)
	})
	if final {
		return
	}
	switch s.random.IntN(10) {
	case 0, 1, 2:
		s.disk.CrashAt(1 + s.random.IntN(12))
	case 3, 4, 5, 6, 7:
		s.disk.CrashAt(1 + s.random.IntN(90))
	}
	if s.percent(15) {
		s.disk.FailSync(1 + s.random.IntN(20))
	}
	if s.percent(10) {
		s.disk.SetCapacity(int64(128<<10 + s.random.IntN(300<<10)))
	}
}

// stop ends the process that had the disk, by losing power or by being killed.
func (s *simulation) stop(powerCut bool) {
	if powerCut || s.percent(50) {
		s.disk.PowerCut()
		s.failed = false
		return
	}
	s.disk.ProcessCrash()
	if s.failed {
		s.meet("process restart after a failed sync")
	}
	if s.percent(20) {
		s.disk.DropCleanPages()
		s.meet("page cache emptied before the restart")
	}
}

// round is the life of one process.
func (s *simulation) round(final bool) (end string) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, ok := cause.(vfs.Crashed); !ok {
				panic(cause)
			}
			end = "crash"
			if s.opening {
				end = "crash while opening"
			}
			s.meet("crash at " + describeOperation(s.last, s.opening))
		}
	}()
	s.opening = true
	s.w = nil
	s.loadReadOnly()
	s.noteFollowed()
	w, err := Open(s.disk, testDir, s.clock)
	if err != nil {
		return s.openFailed(err)
	}
	s.w = w
	s.opening = false
	s.checkOpen()
	if len(s.problems) > 0 {
		return "problem"
	}
	for range s.random.IntN(25) {
		if err := s.step(); err != nil {
			s.failed = true
			_ = w.Close()
			return "poisoned"
		}
	}
	if final || s.percent(40) {
		return s.close(final)
	}
	if s.percent(30) {
		if err := w.Close(); err != nil && !isNoSpace(err) {
			s.problem("close: %v", err)
		}
		return "closed without a mark"
	}
	return "killed"
}

// noteFollowed notes a crash between a chunk that has its name and the seal of the
// one before it.
func (s *simulation) noteFollowed() {
	found, err := list(s.disk, testDir)
	if n := len(found.chunks); err == nil && n > 1 {
		header, err := DecodeChunkHeader(s.disk.Live(chunkPath(testDir, found.chunks[n-2])))
		if err == nil && !header.Sealed() {
			s.meet("opened behind a chunk that is followed and not sealed")
		}
	}
}

func (s *simulation) openFailed(err error) string {
	switch {
	case errors.Is(err, syscall.EIO):
		s.failed = true
		return "failed sync while opening"
	case isNoSpace(err):
		return "no space while opening"
	}
	s.problem("open: %v", err)
	return "problem"
}

func isNoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) }

// describeOperation names a place where a crash can come.
func describeOperation(op vfs.Operation, opening bool) string {
	what := "other file"
	switch {
	case strings.HasSuffix(op.Path, "next.tmp"):
		what = "next chunk"
	case strings.Contains(op.Path, "snapshot_"):
		what = "snapshot"
	case strings.HasSuffix(op.Path, chunkNameSuffix):
		what = "chunk"
	case strings.Contains(op.Path, "quarantine"):
		what = "quarantine"
	case op.Kind == vfs.OpSyncDir || op.Kind == vfs.OpMkdir:
		what = "directory"
	}
	if opening {
		what += ", opening"
	}
	return op.Kind.String() + ", " + what
}

// step is one thing that an owner does.
func (s *simulation) step() error {
	w := s.w
	switch n := s.random.IntN(20); {
	case n < 8:
		return s.append(1 + s.random.IntN(4))
	case n < 13:
		return s.commit(w.Commit)
	case n < 15:
		return s.commit(w.Rotate)
	case n < 17:
		return s.snapshot()
	case n < 18:
		return s.prune()
	case n < 19:
		w.NoteVerified(s.gen.anySegment(w.State()), Tier(s.random.IntN(tierCount)), s.gen.clock)
		return nil
	default:
		if s.percent(20) { // a record that is longer than a chunk
			s.meet("record longer than the usual chunk")
			return s.appendRecord(Record{TimestampNs: 5, Payload: &CustomEvent{Blob: make([]byte, 100<<10)}})
		}
		s.disk.SetCapacity(0) // somebody made space
		return nil
	}
}

func (s *simulation) append(count int) error {
	for range count {
		if err := s.appendRecord(s.gen.next(s.states[len(s.states)-1])); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulation) appendRecord(r Record) error {
	ordinal, err := s.w.Append(r)
	var contradiction *ContradictionError
	if errors.As(err, &contradiction) {
		s.meet("contradiction refused")
		return nil
	}
	if err != nil {
		return err
	}
	r.Ordinal = ordinal
	s.believe(&r)
	return nil
}

// believe adds a record to the model.
func (s *simulation) believe(r *Record) {
	s.signatures = append(s.signatures, signature(r))
	state, err := s.states[len(s.states)-1].Apply(*r)
	if err != nil && s.damage == nil {
		s.problem("model refuses record %d: %v", r.Ordinal, err)
	}
	s.states = append(s.states, state)
}

// forget cuts the model to so many records.
func (s *simulation) forget(records int) {
	s.signatures = s.signatures[:records]
	s.states = s.states[:records+1]
}

func (s *simulation) commit(commit func() error) error {
	err := commit()
	if isNoSpace(err) && s.w.Err() == nil {
		s.meet("no space for a chunk, not poisoned")
		return nil
	}
	if err == nil {
		s.promised = len(s.signatures)
		if got := s.w.State().NextOrdinal(); got != uint64(s.promised+1) {
			s.problem("state after commit stands at %d, not %d", got, s.promised+1)
		}
	}
	return err
}

func (s *simulation) snapshot() error {
	before := len(s.signatures)
	s.believe(&Record{Ordinal: uint64(before + 1), Payload: &SnapshotMarker{}})
	live := LogState{}
	if s.percent(50) {
		live = LogState{NextSeq: s.w.State().Log().NextSeq, LastNs: s.gen.clock, DedupWindowNs: 1}
	}
	_, err := s.w.WriteSnapshot(live)
	if isNoSpace(err) && s.w.Err() == nil {
		s.meet("no space for a snapshot, not poisoned")
		s.forget(int(s.w.NextOrdinal()) - 1)
		return nil
	}
	if err == nil {
		s.promised = len(s.signatures)
		s.meet("snapshot written")
	}
	return err
}

func (s *simulation) prune() error {
	if found, err := list(s.disk, testDir); err == nil {
		if older, err := s.w.secondGoodSnapshot(found.snapshots); err == nil && older != nil {
			s.pruned = max(s.pruned, older.Ordinal)
		}
	}
	removed, err := s.w.Prune(func(Prunable) bool { return s.percent(80) })
	if len(removed) > 0 {
		s.meet("pruned")
	}
	return err
}

func (s *simulation) close(final bool) string {
	w := s.w
	segment := s.random.Uint64N(3)
	if !w.isClosedAt(segment, 512) || len(w.lengths) > 0 {
		for range 2 {
			s.believe(&Record{Ordinal: uint64(len(s.signatures) + 1), Payload: &LogClosed{SegmentID: segment, CloseMarkOffset: 512}})
		}
	}
	if err := w.CloseLog(segment, 512); err != nil {
		s.failed = true
		if final {
			s.problem("close at the end: %v", err)
		}
		return "failed close"
	}
	s.promised = len(s.signatures)
	return "closed"
}

// situations that the histories together must meet.
var situations = []string{
	"round ended: crash", "round ended: crash while opening", "round ended: poisoned", "round ended: closed",
	"round ended: killed", "round ended: closed without a mark", "round ended: failed sync while opening",
	"torn tail cut", "unproven records written again", "records of a failed sync written again",
	"chunk continued after a clean close", "several chunks replayed", "opened from a snapshot", "temporary files swept",
	"process restart after a failed sync", "page cache emptied before the restart",
	"unpromised records dropped", "unpromised records kept", "snapshot compared with replay", "pruned",
	"no space for a chunk, not poisoned", "no space for a snapshot, not poisoned", "contradiction refused",
	"record longer than the usual chunk", "snapshot written",
	"crash at write, chunk", "crash at sync-data, chunk", "crash at sync, chunk", "crash at truncate, chunk",
	"crash at write, next chunk", "crash at sync, next chunk", "crash at rename, next chunk", "crash at sync-dir, directory",
	"crash at create, next chunk", "crash at allocate, next chunk",
	"crash at write, snapshot", "crash at sync, snapshot", "crash at rename, snapshot", "crash at remove, chunk",
	"crash at write, chunk, opening", "crash at sync, chunk, opening", "crash at truncate, chunk, opening",
	"crash at create, next chunk, opening", "crash at allocate, next chunk, opening", "crash at write, next chunk, opening",
	"crash at sync, next chunk, opening", "crash at rename, next chunk, opening",
	"opened behind a chunk that is followed and not sealed", "no room to follow the last chunk of a crash",
	"crash at sync-dir, directory, opening", "crash at write, quarantine, opening",
	"damage planted: chunk", "damage planted: snapshot", "damage reported",
	"undecidable: zeroed sector in the last commit", "read-only load leaves out the last commit",
}

// The seeds and how many of them come from the environment, as in the other crash
// simulations of this project: AOF_CRASH_FIRST_SEED, AOF_CRASH_SEEDS. With -show
// one seed shows what it does.
func TestCrashSimulation(t *testing.T) {
	t.Parallel()
	first, count := environment(t, "AOF_CRASH_FIRST_SEED", 1), environment(t, "AOF_CRASH_SEEDS", 550)
	met := map[string]int{}
	for seed := first; seed < first+count; seed++ {
		s := newSimulation(seed)
		for _, problem := range s.run() {
			t.Error(problem)
		}
		for situation, n := range s.met {
			met[situation] += n
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, situation := range situations {
		t.Logf("%6d %s", met[situation], situation)
		if met[situation] == 0 && count >= 500 {
			t.Errorf("no history met: %s", situation)
		}
	}
}

func environment(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return n
}

var traceHistories = flag.Bool("show", false, "print what the crash simulation does")
