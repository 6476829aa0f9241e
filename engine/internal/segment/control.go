package segment

// Control records: marks that prove what is durable, the epoch of a new owner,
// and the end of the records.

// ControlKind says what a control record means: the first byte of its body.
type ControlKind byte

const (
	// DurableMark proves that everything before it is durable.
	DurableMark ControlKind = 1 + iota
	// CloseMark proves the same and that the log was closed cleanly behind it.
	CloseMark
	// EpochMark begins the records of a new owner in a segment that is
	// continued after a clean close.
	EpochMark
	// SealMark ends the records: index and footer follow.
	SealMark
)

// Offsets in the body of a control record.
const (
	controlKindAt     = 0
	controlReservedAt = 1
	controlEpochAt    = 8
)

const (
	// MarkBytes is the length of a control record that carries its kind only.
	MarkBytes = RecordBytesMin
	// SealMarkBytes is the length of a seal mark.
	SealMarkBytes = MarkBytes
	// EpochMarkBytes is the length of an epoch mark.
	EpochMarkBytes = RecordHeaderBytes + 16
	// MarkPairBytesMax bounds what AppendMarkPair appends. The first mark of a
	// pair is longest where its header ends with a sector: its body is then a
	// whole sector.
	MarkPairBytesMax = RecordHeaderBytes + SectorBytes + MarkBytes

	markBodyBytes = MarkBytes - RecordHeaderBytes
	markFill      = 0xff
)

// Control returns the kind of a control record, and false for a data record.
// The kind may be one that this code does not know: such a record is skipped.
func (r *Record) Control() (ControlKind, bool) {
	if r.Flags&FlagControl == 0 || len(r.Payload) == 0 {
		return 0, false
	}
	return ControlKind(r.Payload[controlKindAt]), true
}

// MarkEpoch returns the epoch that an epoch mark carries, and false for any
// other record.
func (r *Record) MarkEpoch() (uint64, bool) {
	kind, ok := r.Control()
	if !ok || kind != EpochMark || len(r.Payload) < controlEpochAt+8 {
		return 0, false
	}
	return littleEndian.Uint64(r.Payload[controlEpochAt:]), true
}

// AppendMarkPair appends two control records. offset is the file offset of
// len(dst), a multiple of 8. The first, a durable mark, fills up its sector;
// the second, of the given kind, begins the next: a mark that shares a sector
// with the last batch would be lost with it. The fill is not zero, so that no
// sector's share of a mark looks like a lost write. unsynced counts the bytes
// before the first mark; lastSeq is the sequence of the last data record.
func AppendMarkPair(dst []byte, offset int64, salt uint64, kind ControlKind, lastSeq uint64, unsynced uint32, timestamp int64) []byte {
	inSector := int((offset + RecordHeaderBytes) % SectorBytes)
	first := controlRecord(lastSeq, unsynced, timestamp)
	var fill [SectorBytes]byte
	body := fill[:SectorBytes-inSector]
	for i := range body {
		body[i] = markFill
	}
	body[controlKindAt] = byte(DurableMark)
	first.Payload = body
	dst = AppendRecord(dst, salt, &first)
	unsynced += uint32(RecordHeaderBytes + len(body))
	return appendMark(dst, salt, kind, lastSeq, unsynced, timestamp)
}

// AppendSealMark appends the control record that ends a segment's records.
func AppendSealMark(dst []byte, salt, lastSeq uint64, unsynced uint32, timestamp int64) []byte {
	return appendMark(dst, salt, SealMark, lastSeq, unsynced, timestamp)
}

// AppendEpochMark appends the control record with which an owner continues a
// cleanly closed segment. epoch is at least 1.
func AppendEpochMark(dst []byte, salt, lastSeq uint64, unsynced uint32, timestamp int64, epoch uint64) []byte {
	var body [EpochMarkBytes - RecordHeaderBytes]byte
	body[controlKindAt] = byte(EpochMark)
	littleEndian.PutUint64(body[controlEpochAt:], epoch)
	r := controlRecord(lastSeq, unsynced, timestamp)
	r.Payload = body[:]
	return AppendRecord(dst, salt, &r)
}

func appendMark(dst []byte, salt uint64, kind ControlKind, lastSeq uint64, unsynced uint32, timestamp int64) []byte {
	var body [markBodyBytes]byte
	body[controlKindAt] = byte(kind)
	r := controlRecord(lastSeq, unsynced, timestamp)
	r.Payload = body[:]
	return AppendRecord(dst, salt, &r)
}

func controlRecord(lastSeq uint64, unsynced uint32, timestamp int64) Record {
	return Record{Seq: lastSeq, Timestamp: timestamp, Unsynced: unsynced, Flags: FlagControl}
}
