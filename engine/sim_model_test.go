package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/manifest"
)

// simModel is what a history knows of its log: what was appended, what was
// acknowledged, and which bytes were damaged on purpose.
type simModel struct {
	history *history

	made    []madeRecord          // every record ever appended, by unique number
	current []int                 // sequence -> unique number; 0: none
	places  map[uint64][]simPlace // segment id -> where its records lie
	ids     map[uint64][]byte     // sequence -> message id
	late    map[string]bool       // keys under which an overtaken owner has put its objects
	batches int

	written, durable uint64 // acknowledged
	powerCut         bool   // since the last finished open
	previousEnd      string

	damage
}

type madeRecord struct {
	seq   uint64
	batch int
	bytes int
	sum   uint32
}

// simPlace is where a record was encoded.
type simPlace struct {
	path       string
	start, end int64
	seq        uint64
}

func newSimModel(h *history) *simModel {
	return &simModel{
		history: h, made: make([]madeRecord, 1), current: make([]int, 1),
		places: make(map[uint64][]simPlace), ids: make(map[uint64][]byte), late: make(map[string]bool), damage: damage{tainted: make(map[uint64]bool), evicted: make(map[uint64]bool)},
	}
}

// newRecord makes a record whose ext id is its unique number.
func (m *simModel) newRecord(payloadBytes int) Record {
	payload := make([]byte, payloadBytes)
	if !m.history.chance(10) { // else a payload of zeros
		for i := 0; i < payloadBytes; i += 8 {
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], m.history.next())
			copy(payload[i:], word[:])
		}
	}
	m.made = append(m.made, madeRecord{bytes: payloadBytes, sum: crc32.ChecksumIEEE(payload)})
	return Record{ExtID: uint64(len(m.made) - 1), Subject: []byte{'s', byte('0' + len(m.made)%8)}, Payload: payload}
}

// appended notes records that the log accepted.
func (m *simModel) appended(first uint64, recs []Record, batch bool) {
	number := 0
	if batch && len(recs) > 1 {
		m.batches++
		number = m.batches
	}
	l := m.history.log
	for i := range recs {
		seq := first + uint64(i)
		made := &m.made[recs[i].ExtID]
		made.seq, made.batch = seq, number
		for uint64(len(m.current)) <= seq {
			m.current = append(m.current, 0)
		}
		m.current[seq] = int(recs[i].ExtID)
	}
	s := l.mu.tail
	end := s.tail.end
	for i := len(recs) - 1; i >= 0; i-- { // all of one call lie in one segment here, or the first ones are not placed
		size := l.encodedBytes(&recs[i])
		if end-size < segment.HeaderBytes {
			break
		}
		m.places[s.id()] = append(m.places[s.id()], simPlace{path: s.path, start: end - size, end: end, seq: first + uint64(i)})
		end -= size
	}
}

// observe takes over what the log has acknowledged.
func (m *simModel) observe(l *Log) {
	if l == nil || !m.history.opened {
		return
	}
	m.written = max(m.written, l.written.Load())
	m.durable = max(m.durable, l.durable.Load())
}

// closed notes that Close returned without an error: all is durable.
func (m *simModel) closed() {
	m.durable, m.written = m.history.log.appended.Load(), m.history.log.appended.Load()
}

// refuseDuplicate appends the id of seq again.
func (m *simModel) refuseDuplicate(l *Log, seq uint64) {
	rec := m.newRecord(1)
	got, err := l.AppendIf(&rec, Conditions{MsgID: m.ids[seq]})
	switch {
	case errors.Is(err, ErrDuplicate) && got == seq:
		m.history.hit("duplicate refused")
	case err == nil:
		m.appended(got, []Record{rec}, false)
		m.history.violate("id of sequence %d was accepted again as %d", seq, got)
	case errors.Is(err, ErrDuplicate):
		m.history.violate("id of sequence %d was refused as %d", seq, got)
	}
}

// check compares a log that was just opened with the model.
func (m *simModel) check(l *Log) {
	last := l.appended.Load()
	must := m.durable
	if !m.powerCut {
		must = max(must, m.written)
	}
	found := m.readAll(l)
	for seq := uint64(1); seq <= last; seq++ {
		m.checkRecord(seq, found[seq], must)
	}
	if last < must {
		m.checkLoss(last, must)
	}
	m.checkBatch(last)
	if uint64(len(m.current)) > last+1 {
		m.current = m.current[:last+1]
		m.history.hit("unacked tail dropped")
	}
	for uint64(len(m.current)) <= last {
		m.current = append(m.current, 0)
	}
	m.durable, m.written, m.powerCut = last, last, false
	m.checkDedup(l, last)
	m.checkManifest(l)
	m.checkBucket(l)
}

// isPut reports whether an earlier try has put a segment's object already.
func (m *simModel) isPut(id uint64) bool {
	for open := range m.history.log.journal.state().Uploads() {
		if open.SegmentID == id && !m.late[open.Key] {
			_, err := m.history.log.folder.Attributes(context.Background(), open.Key)
			return err == nil
		}
	}
	return false
}

// checkBucket compares the objects with what the manifest says of them: neither
// has one that the other does not know.
func (m *simModel) checkBucket(l *Log) {
	state := l.journal.state()
	known := make(map[string]bool)
	for open := range state.Uploads() {
		known[open.Key] = true
	}
	for queued := range state.Deletes() {
		known[queued.Key] = true
	}
	objects := make(map[string]bool)
	for object, err := range l.folder.List(context.Background(), bucket.SegmentsPrefix) {
		if err != nil {
			return // a fault that the history injects
		}
		objects[object.Key] = true
	}
	for entry := range state.Segments() {
		if !entry.Resident.Has(manifest.TierCold) {
			continue
		}
		known[entry.Cold.Key] = true
		if !objects[entry.Cold.Key] {
			m.history.violate("segment %d is cold and the bucket has no %s", entry.ID, entry.Cold.Key)
		}
	}
	for key := range objects {
		if !known[key] && !m.late[key] && !m.isPutAgain(state, key) {
			m.history.violate("the manifest does not know %s", key)
		}
	}
	m.checkRanks(l)
}

// isPutAgain reports whether damage that looks like a torn tail took the intent of
// an object: it is found under its key when the segment is uploaded.
func (m *simModel) isPutAgain(state *manifest.State, key string) bool {
	parsed, ok := bucket.ParseSegmentKey(key)
	entry := state.Segment(parsed.ID)
	return ok && m.manifestOnly && entry != nil && !entry.Resident.Has(manifest.TierCold) && entry.NextGeneration <= parsed.Generation
}

// checkManifest compares the manifest with the segments that the log has.
func (m *simModel) checkManifest(l *Log) {
	state := l.journal.state()
	for _, s := range *l.segments.Load() {
		if s.lost == lostSalt {
			continue // nothing of it can be recorded
		}
		entry := state.Segment(s.id())
		switch {
		case entry == nil || !entry.Opened:
			m.history.violate("segment %d is not in the manifest", s.id())
		case entry.BaseSeq != s.baseSeq() || entry.Salt != s.header.Salt:
			m.history.violate("segment %d is not the one in the manifest", s.id())
		case entry.Sealed != (s.seal.Load() != nil):
			m.history.violate("segment %d: the manifest says sealed %t", s.id(), entry.Sealed)
		case entry.Sealed && entry.LastSeq != s.lastSeq.Load():
			m.history.violate("segment %d ends with %d, in the manifest with %d", s.id(), s.lastSeq.Load(), entry.LastSeq)
		}
	}
	if log := state.Log(); log.Epoch > l.mu.epoch || log.NextSegmentID > l.mu.nextSegmentID || log.NextSeq > l.appended.Load()+1 {
		m.history.violate("the log is behind its manifest: %+v", log)
	}
}

const (
	simMissing = 0
	simDamaged = -1
	simWrong   = -2
)

// readAll reads the log through the production reader: sequence -> unique
// number, simDamaged or simWrong.
func (m *simModel) readAll(l *Log) map[uint64]int {
	found := make(map[uint64]int)
	r, err := l.NewReader(ReadOptions{SkipDamaged: func(damage *DamageError) {
		for seq := damage.FirstSeq; seq <= damage.LastSeq; seq++ {
			found[seq] = simDamaged
		}
	}})
	if err != nil {
		m.history.violate("open reader: %v", err)
		return found
	}
	defer func() {
		if err := r.Close(); err != nil {
			m.history.violate("close reader: %v", err)
		}
	}()
	for {
		rec, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			m.history.violate("read behind %d records: %v", len(found), err)
			return found
		}
		if _, twice := found[rec.Seq]; twice {
			m.history.violate("sequence %d was read twice", rec.Seq)
		}
		found[rec.Seq] = m.identify(rec)
		if r.object != nil {
			m.history.hit("read from " + r.tier.String())
		}
	}
}

func (m *simModel) identify(rec Record) int {
	if rec.ExtID == 0 || rec.ExtID >= uint64(len(m.made)) {
		return simWrong
	}
	made := m.made[rec.ExtID]
	if made.seq != rec.Seq || made.bytes != len(rec.Payload) || made.sum != crc32.ChecksumIEEE(rec.Payload) {
		return simWrong
	}
	return int(rec.ExtID)
}

func (m *simModel) checkRecord(seq uint64, got int, must uint64) {
	want := 0
	if seq < uint64(len(m.current)) {
		want = m.current[seq]
	}
	h := m.history
	switch {
	case got == simMissing:
		h.violate("hole at sequence %d", seq)
	case got == simWrong:
		h.violate("sequence %d has wrong bytes or was invented", seq)
	case got == simDamaged:
		m.checkDamage(seq, want, must)
	case got != want:
		h.violate("old content came back at sequence %d: record %d, expected %d", seq, got, want)
	}
}

// checkBatch checks that no atomic batch lost only its end.
func (m *simModel) checkBatch(last uint64) {
	if last == 0 || uint64(len(m.current)) <= last+1 {
		return
	}
	a, b := m.current[last], m.current[last+1]
	if a == 0 || b == 0 || m.made[a].batch == 0 || m.made[a].batch != m.made[b].batch {
		return
	}
	if !m.corrupted {
		m.history.violate("an atomic batch was split behind sequence %d", last)
	}
}

// checkDedup offers the ids of records that are there: each must be refused.
func (m *simModel) checkDedup(l *Log, last uint64) {
	for seq := range m.ids {
		if seq > last || m.corrupted {
			delete(m.ids, seq)
		}
	}
	if l.mu.dedup.newest == 0 && len(m.ids) > 0 && len(m.ids) < 64 {
		m.history.violate("%d ids are in the log and none is remembered", len(m.ids))
	}
	for seq, id := range m.ids {
		if got, ok := l.mu.dedup.lookup(id, l.now()); ok && got != seq {
			m.history.violate("id of sequence %d is remembered as %d", seq, got)
		} else if !ok && len(m.ids) < 64 {
			m.history.violate("id of sequence %d is forgotten", seq)
		}
	}
}
