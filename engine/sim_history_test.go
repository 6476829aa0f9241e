package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/planner"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

// history is one seeded life of a log: rounds of open, work and a more or less
// violent end.
type history struct {
	*simRandom
	disk  *vfs.Mem
	model *simModel
	hits  map[string]int
	trace bool
	clock int64

	segmentBytes int64
	log          *Log
	engine       *Engine
	opened       bool
	inHook       bool
	checking     bool // the model looks at the log: nothing is appended meanwhile
	inSeal       bool
	moving       planner.Kind
	lastOp       vfs.Operation
	renamed      bool
	final        bool // the round must not fail
	activating   bool // the last operation outside of the manifest named a segment
	violations   []string
}

const (
	simRoot   = "root"
	simBucket = "bucket"
)

func runHistory(seed uint64, hits map[string]int, trace bool) []string {
	r := &simRandom{state: seed * 0x9e3779b97f4a7c15}
	h := &history{simRandom: r, disk: vfs.NewMem(r.next()), hits: hits, trace: trace, clock: 1}
	h.model = newSimModel(h)
	h.segmentBytes = []int64{8 << 10, 8 << 10, 12 << 10, 16 << 10, 32 << 10}[r.below(5)]
	rounds := 3 + r.below(5)
	damageAt := -1
	if r.chance(55) {
		damageAt = r.below(rounds)
	}
	for round := 0; round < rounds+2 && len(h.violations) == 0; round++ {
		final := round >= rounds
		h.logf("round %d", round)
		end := h.round(final)
		h.hit("round ended: " + end)
		h.logf("  end: %s, durable %d, written %d", end, h.model.durable, h.model.written)
		h.model.previousEnd = end
		h.restart(final || round == rounds-1 || r.chance(50), end)
		if round == damageAt {
			h.model.plantDamage()
		}
	}
	h.checkFiles()
	return h.violations
}

// checkFiles lets the check of a root look at what a sound history leaves: it
// must find nothing.
func (h *history) checkFiles() {
	if h.model.corrupted && !h.model.manifestOnly || len(h.violations) > 0 {
		return
	}
	report, err := Check(context.Background(), simRoot, CheckOptions{Deep: true, FS: h.disk, BucketFS: h.disk})
	if err != nil {
		h.violate("check of the files: %v", err)
		return
	}
	for _, found := range append(report.Damage, report.Logs[0].Damage...) {
		if (found.Part != PartManifest || !h.model.manifestOnly) && !h.model.missed(&found) {
			h.violate("check of the files: %v", found)
		}
	}
	if len(report.Unchecked) > 0 {
		h.violate("check of the files: %v", report.Err())
	}
}

func (h *history) hit(situation string) { h.hits[situation]++ }

func (h *history) logf(format string, args ...any) {
	if h.trace {
		fmt.Printf(format+"\n", args...)
	}
}

func (h *history) violate(format string, args ...any) {
	violation := fmt.Sprintf(format, args...)
	h.violations = append(h.violations, violation)
	h.logf("VIOLATION %s", violation)
}

// restart ends the process, with or without the power.
func (h *history) restart(power bool, end string) {
	h.disk.BeforeOperation(nil)
	h.disk.CrashAt(0)
	h.disk.FailSync(0)
	if power {
		h.disk.PowerCut()
		h.model.powerCut = true
		h.hit("power cut")
		h.logf("  POWER CUT")
		return
	}
	h.disk.ProcessCrash()
	h.hit("process restart")
	if end == "poisoned" {
		h.hit("lost sync, then restart")
	}
}

// round opens the log, checks it against the model, works on it and ends.
func (h *history) round(final bool) (end string) {
	h.opened, h.checking, h.log, h.engine, h.inSeal, h.moving = false, false, nil, nil, false, planner.None
	h.final = final
	if !final {
		h.arm()
	}
	defer func() {
		if cause := recover(); cause != nil {
			if _, crashed := cause.(vfs.Crashed); !crashed {
				panic(cause)
			}
			h.noteCrash()
			end = "crash"
			if !h.opened {
				end = "crash in recovery"
			}
		}
		h.model.observe(h.log)
	}()
	h.disk.BeforeOperation(h.before)
	if err := h.open(); err != nil {
		if h.model.corrupted && !h.model.manifestOnly && errors.Is(err, ErrDamaged) {
			return "refused after planted damage"
		}
		return "error in recovery"
	}
	h.opened, h.checking = true, true
	h.model.check(h.log)
	h.checking = false
	if final && h.chance(50) {
		return "killed"
	}
	return h.work()
}

// arm plans a crash or a failed sync.
func (h *history) arm() {
	switch k := h.below(10); {
	case k < 3:
		h.disk.CrashAt(1 + h.below(60))
	case k < 6:
		h.disk.CrashAt(15 + h.below(160))
	case k < 8:
		h.disk.CrashAt(50 + h.below(700))
	}
	if h.chance(14) {
		h.disk.FailSync(1 + h.below(60))
	}
}

func (h *history) open() error {
	opts := Options{
		FS: h.disk, manual: true, random: h.nextID, reserveBytes: 4096,
		Bucket: "file:///" + simBucket, BucketFS: h.disk, bucketRetry: bucket.Retry{Attempts: 1},
		Now: func() time.Time { h.clock++; return time.Unix(0, h.clock) },
	}
	e, err := Open(simRoot, opts)
	if err != nil {
		return err
	}
	h.engine = e
	// Small enough that segments leave both local tiers all the time.
	e.budgets = planner.Budgets{
		HotBytes: 1 << 20, HotLowBytes: 2 * h.segmentBytes, WarmBytes: 8 * h.segmentBytes, WarmLowBytes: h.segmentBytes,
	}
	logOpts := LogOptions{SegmentBytesMin: h.segmentBytes, SegmentBytesMax: h.segmentBytes, Dedup: DedupOptions{IDsMax: 64}}
	logOpts.ensureDefaults()
	h.log, err = e.openLog("a", logOpts)
	if err != nil {
		h.log = nil
		return err
	}
	e.mu.logs["a"] = h.log
	h.noteRecovery(&h.log.recovery)
	return nil
}

func (h *history) nextID() uint64 { return h.next() | 1 }

func (h *history) noteRecovery(report *RecoveryReport) {
	for _, cut := range report.Cut {
		h.hit("torn tail cut")
		if cut.AtomicBatch {
			h.hit("atomic batch cut")
		}
	}
	if report.RewrittenBytes > 0 {
		h.hit("tail rewritten")
	}
	if report.SealedSegments > 0 {
		h.hit("segment sealed by recovery")
	}
	if report.SealedSegments > 1 {
		h.hit("two unsealed segments")
	}
	if len(report.Damaged) > 0 {
		h.hit("damage reported")
	}
	if report.Adopted > 0 {
		h.hit("segment file adopted")
	}
	if report.AdoptedWarm > 0 {
		h.hit("warm file adopted")
	}
	if report.AdoptedCold > 0 {
		h.hit("object of a damaged manifest adopted")
	}
	if report.BucketUnread != nil {
		h.hit("bucket not read in recovery")
	}
	if report.Manifest.Cut != nil {
		h.hit("torn tail of the manifest cut")
	}
	if err := report.Manifest.Err(); err != nil && !h.model.corrupted {
		h.violate("the manifest is damaged: %v", err)
	}
	if report.Manifest.SealedEnd && !h.model.corrupted {
		h.violate("the manifest looks as if it had lost its last chunk")
	}
	if h.log.hasTail() {
		h.hit("continued after a clean close")
	}
}

// before runs in front of every disk operation: it remembers it, and sometimes
// lets other goroutines' work happen there.
func (h *history) before(op vfs.Operation) {
	if h.inHook {
		return
	}
	h.logf("    %s", op)
	h.lastOp = op
	if !inManifest(op) {
		h.activating = h.renamed && op.Kind == vfs.OpSyncDir
	}
	if op.Kind == vfs.OpRename && strings.HasSuffix(op.NewPath, segmentSuffix) {
		h.renamed = true
	} else if op.Kind != vfs.OpSyncDir {
		h.renamed = false
	}
	if !h.opened || h.checking || !h.chance(25) {
		return
	}
	h.inHook = true
	defer func() { h.inHook = false }()
	if op.Kind == vfs.OpSyncData {
		h.hit("append during a sync")
	}
	_ = h.append(1+h.below(3), h.chance(20))
	if h.inSeal && !inManifest(op) && h.chance(50) {
		h.hit("commit during a seal")
		h.log.Request(h.log.appended.Load(), Durable)
		h.log.committer.step()
		h.model.observe(h.log)
	}
}

// inManifest reports whether an operation is on the manifest, whose writer
// serves one caller at a time.
func inManifest(op vfs.Operation) bool {
	return filepath.Base(filepath.Dir(op.Path)) == manifestDirName
}

// noteCrash names the moment of a crash.
func (h *history) noteCrash() {
	op := h.lastOp
	name := filepath.Base(op.Path)
	if h.moving != planner.None {
		h.noteMoveCrash(op)
		return
	}
	if inManifest(op) {
		h.noteManifestCrash(op)
		return
	}
	isSegment := strings.HasSuffix(name, segmentSuffix) || name == successorFileName
	switch {
	case h.inSeal && isSegment:
		h.hit(map[vfs.OperationKind]string{
			vfs.OpWrite: "crash in seal: index and footer", vfs.OpSyncData: "crash in seal: mark",
			vfs.OpTruncate: "crash in seal: truncate", vfs.OpSync: "crash in seal: last sync",
		}[op.Kind])
	case h.renamed && op.Kind == vfs.OpSyncDir:
		h.hit("crash between rename and directory sync")
	case op.Kind == vfs.OpRename && name == successorFileName:
		h.hit("crash between header and rename")
	case name == successorFileName && (op.Kind == vfs.OpAllocate || op.Kind == vfs.OpCreate || op.Kind == vfs.OpSync):
		h.hit("crash while a successor is prepared")
	case op.Kind == vfs.OpWrite && isSegment && op.Offset == 0:
		h.hit("crash in write of a header")
	case op.Kind == vfs.OpWrite && isSegment && h.opened:
		h.hit("crash in write of records")
	case op.Kind == vfs.OpSyncData && name == successorFileName:
		h.hit("crash in sync of a header")
	case op.Kind == vfs.OpSyncData && isSegment:
		h.hit("crash in sync of records")
	}
}

// noteMoveCrash names the moment of a crash in a move between tiers.
func (h *history) noteMoveCrash(op vfs.Operation) {
	where := "files"
	switch {
	case inManifest(op):
		where = "manifest"
	case strings.Contains(op.Path, simBucket):
		where = "bucket"
	}
	h.hit(fmt.Sprintf("crash in move: %s, %s", h.moving, where))
}

// noteManifestCrash names the moment of a crash in the manifest.
func (h *history) noteManifestCrash(op vfs.Operation) {
	if _, isChunk := manifest.ParseChunkName(filepath.Base(op.Path)); !isChunk {
		h.hit("crash in manifest: next chunk")
		if !h.opened {
			h.hit("crash in manifest: recovery, next chunk")
		}
		return
	}
	switch {
	case !h.opened && op.Kind == vfs.OpWrite && op.Offset == 0:
		h.hit("crash in manifest: recovery, seal of a chunk that is followed")
	case !h.opened:
		h.hit("crash in manifest: recovery")
	case h.inSeal:
		h.hit("crash in manifest: between footer and seal record")
	case h.activating:
		h.hit("crash in manifest: between directory sync and opened record")
	default:
		h.hit("crash in manifest: owner or close record")
	}
}

// work does random things to an open log until it ends.
func (h *history) work() string {
	steps := h.below(22)
	if h.chance(10) {
		steps = 0
	}
	for range steps {
		h.step()
		h.model.observe(h.log)
		if h.log.failed() {
			return "poisoned"
		}
	}
	if !h.chance(45) {
		return "killed"
	}
	err := h.log.Close()
	h.model.observe(h.log)
	if err != nil {
		return "poisoned"
	}
	h.model.closed()
	return "closed"
}

func (h *history) step() {
	l := h.log
	switch k := h.below(26); {
	case k < 5:
		_ = h.append(1+h.below(8), false)
	case k < 7:
		_ = h.append(2+h.below(5), true)
	case k < 8:
		h.appendDuplicate()
	case k < 11:
		h.commit()
	case k < 15:
		l.Request(l.appended.Load(), Durable)
		h.commit()
	case k < 16:
		l.committer.tick()
	case k < 19:
		h.maintain()
	case k < 25:
		h.tier()
	default:
		if h.chance(30) {
			h.hit("seal by command")
			l.retireTail()
			l.Request(l.appended.Load(), Durable)
			h.commit()
			h.maintain()
		}
	}
}

// commit steps the committer, with what the maintainer has to do first if the
// committer stalls.
func (h *history) commit() {
	for range 3 {
		h.log.committer.step()
		h.model.observe(h.log)
		if !h.log.committer.stalled {
			return
		}
		h.maintain()
	}
}

// maintain lets the maintainer do what is due.
func (h *history) maintain() {
	h.inSeal = h.log.sealable() != nil
	h.log.keeper.step()
	h.inSeal = false
}

// tier lets the coordinator carry out what the planner wants, a few moves.
func (h *history) tier() {
	for range 1 + h.below(4) {
		actions := h.engine.coordinator.plan(h.engine.opts.Now())
		if len(actions) == 0 || h.log.failed() {
			return
		}
		next := actions[0]
		h.hit("move: " + next.Kind.String())
		again := next.Kind == planner.Upload && h.model.isPut(next.Segment)
		if next.Kind == planner.Upload && h.chance(15) {
			h.plantLate(next.Segment)
		}
		h.moving = next.Kind
		isEviction := next.Kind == planner.EvictHot || next.Kind == planner.EvictWarm
		if isEviction && !h.final && h.chance(10) {
			h.disk.CrashAt(1 + h.below(6))
		}
		if isEviction {
			h.model.evicted[next.Segment] = true
		}
		h.engine.coordinator.step()
		h.moving = planner.None
		if entry := h.log.journal.state().Segment(next.Segment); again && entry.Resident.Has(manifest.TierCold) {
			h.hit("object adopted")
		}
		if entry := h.log.journal.state().Segment(next.Segment); entry.Cold.Generation > 0 && next.Kind == planner.Upload {
			h.hit("next generation used")
		}
	}
}

// append adds n records, in one atomic batch or one by one.
func (h *history) append(n int, atomic bool) error {
	if !h.opened || h.log.failed() {
		return ErrPoisoned
	}
	recs := make([]Record, n)
	for i := range recs {
		recs[i] = h.model.newRecord(h.payloadBytes(atomic))
	}
	if atomic {
		first, err := h.log.AppendBatch(recs, BatchOptions{Atomic: true})
		if err == nil {
			h.model.appended(first, recs, true)
		}
		return err
	}
	for i := range recs {
		seq, err := h.log.Append(&recs[i])
		if err != nil {
			return err
		}
		h.model.appended(seq, recs[i:i+1], false)
	}
	return nil
}

func (h *history) payloadBytes(atomic bool) int {
	switch h.below(12) {
	case 0:
		return 0
	case 1:
		if atomic {
			return 900
		}
		return 1500 + h.below(2500)
	case 2, 3:
		return h.below(900)
	}
	return h.below(200)
}

// appendDuplicate appends with an id twice: the second must be refused.
func (h *history) appendDuplicate() {
	rec := h.model.newRecord(h.below(100))
	id := []byte(fmt.Sprintf("id-%d", h.next()))
	headers, err := EncodeHeaders(map[string][]string{"Nats-Msg-Id": {string(id)}})
	if err != nil {
		h.violate("encode headers: %v", err)
		return
	}
	rec.Headers = headers
	seq, err := h.log.AppendIf(&rec, Conditions{MsgID: id})
	if err != nil {
		return
	}
	h.model.appended(seq, []Record{rec}, false)
	h.model.ids[seq] = id
	h.model.refuseDuplicate(h.log, seq)
}
