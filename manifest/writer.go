package manifest

// This file is the Writer: options, open, append, and the end.

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Options says whose manifest it is and how it is kept. It is passed by value
// and not changed.
type Options struct {
	// LogID is the log's random id, not 0. A file with another one is refused.
	LogID uint64
	// ChunkBytes is the length of a chunk file while it is written, from 64 KiB to
	// 1 MiB in steps of 4 KiB; 0: 256 KiB. A record that does not fit in it gets a
	// longer chunk.
	ChunkBytes int
	// Epoch is noted in new chunks unless a later OwnerChanged is recorded.
	Epoch uint64
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// QuarantineDir takes the bytes that recovery cuts; "": the directory
	// "quarantine" beside the manifest directory.
	QuarantineDir string
}

func (o Options) complete(dir string) (Options, error) {
	if o.ChunkBytes == 0 {
		o.ChunkBytes = ChunkBytesDefault
	}
	if o.ChunkBytes < ChunkBytesMin || o.ChunkBytes > ChunkBytesMax || o.ChunkBytes%chunkStepBytes != 0 {
		return o, fmt.Errorf("chunk of %d bytes: %w", o.ChunkBytes, ErrInvalidOptions)
	}
	if o.LogID == 0 {
		return o, fmt.Errorf("log id 0: %w", ErrInvalidOptions)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.QuarantineDir == "" {
		o.QuarantineDir = filepath.Join(filepath.Dir(filepath.Clean(dir)), "quarantine")
	}
	return o, nil
}

const chunkStepBytes = 4096

// Writer appends to the manifest of one log. One goroutine at a time may call its
// methods; State may be called by any, at any time.
type Writer struct {
	fsys    vfs.FS
	dir     string
	options Options

	edit      *builder // with every record that was appended
	published atomic.Pointer[State]
	recovery  *Recovery

	buffer  []byte // appended, not yet written
	lengths []int  // of the records in buffer

	current  *chunkFile // nil: the next commit begins a chunk
	ended    *chunkFile // is sealed when a chunk follows it; nil: none
	prepared vfs.File   // the file of the next chunk; nil: none
	// The last chunk before current, or the place of the snapshot.
	lastIndex uint64
	lastEnd   int64
	lastCRC64 uint64
	// sinceSnapshot is the first ordinal that no snapshot has.
	sinceSnapshot uint64

	failure error // poisoned
	closed  bool
}

// Open recovers the manifest in dir, which it makes if there is none, and returns
// a Writer behind what it holds. The caller keeps other writers out. fsys nil is
// the operating system.
//
// Damage does not stop it: it is in Recovery, and what is good was replayed. It
// fails with ErrNewerVersion, ErrWrongLog or ErrInvalidOptions before it changes
// anything but temporary files, and with the error of the disk. On a full disk it
// needs no space, unless bytes have to be quarantined. A kill while it runs is no
// other than one before it.
//
// When it returns nil, everything in State and the cut of everything else is
// durable.
func Open(fsys vfs.FS, dir string, options Options) (*Writer, error) {
	if fsys == nil {
		fsys = vfs.OS()
	}
	options, err := options.complete(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{fsys: fsys, dir: dir, options: options}
	if err := w.open(); err != nil {
		_ = w.release() // the cause is reported
		return nil, fmt.Errorf("open manifest %s: %w", dir, err)
	}
	return w, nil
}

func (w *Writer) open() error {
	if err := vfs.MkdirAllSync(w.fsys, w.dir); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := w.fsys.SyncDir(w.dir); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	found, err := list(w.fsys, w.dir)
	if err != nil {
		return err
	}
	if err := removeAll(w.fsys, w.dir, found.temporary); err != nil {
		return err
	}
	r := &replay{fsys: w.fsys, dir: w.dir, logID: w.options.LogID}
	if err := r.run(); err != nil {
		return err
	}
	w.recovery = r.recovery
	w.recovery.Swept = found.temporary
	w.edit = r.state
	w.sinceSnapshot = 1
	if r.snapshot != nil {
		w.sinceSnapshot = r.snapshot.Ordinal
	}
	if err := w.recoverEnd(r); err != nil {
		return err
	}
	w.published.Store(w.edit.publish())
	return nil
}

// State is what the records that are durable say. It is immutable; it may be
// called concurrently with every other method.
func (w *Writer) State() *State { return w.published.Load() }

// Recovery is the report of the open. The caller must not change it.
func (w *Writer) Recovery() *Recovery { return w.recovery }

// NextOrdinal is the ordinal that the next appended record gets.
func (w *Writer) NextOrdinal() uint64 { return w.edit.nextOrdinal }

// SinceSnapshot is how many records were appended since the newest snapshot.
func (w *Writer) SinceSnapshot() uint64 { return w.edit.nextOrdinal - w.sinceSnapshot }

// Append checks records against the state, numbers and buffers them, all or none,
// and returns the ordinal of the last. They are in State, and may be acted upon,
// after the next Commit. A record that contradicts the state is refused with a
// *ContradictionError; other errors match ErrTooLarge, ErrInvalid, ErrPoisoned or
// ErrClosed. Payloads may be reused when it returns.
//
// LogClosed and SnapshotMarker are not for Append: CloseLog and WriteSnapshot
// write them.
func (w *Writer) Append(records ...Record) (ordinal uint64, err error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	var before *State
	if len(records) > 1 {
		before = w.edit.publish()
	}
	bytes, count := len(w.buffer), len(w.lengths)
	for i := range records {
		err = checkAppendable(&records[i])
		if err == nil {
			err = w.appendOne(&records[i])
		}
		if err == nil {
			continue
		}
		if before != nil {
			w.edit = edit(before)
		}
		w.buffer, w.lengths = w.buffer[:bytes], w.lengths[:count]
		return 0, fmt.Errorf("append to manifest: %w", err)
	}
	return w.edit.nextOrdinal - 1, nil
}

func checkAppendable(r *Record) error {
	switch p := r.Payload.(type) {
	case nil:
		return fmt.Errorf("record without a payload: %w", ErrInvalid)
	case *LogClosed, *SnapshotMarker:
		return fmt.Errorf("%s is not for Append: %w", p.RecordType(), ErrInvalid)
	case *Raw:
		if p.Type < TypeUserFirst {
			return fmt.Errorf("raw payload of reserved type %d: %w", p.Type, ErrInvalid)
		}
	}
	if r.Flags&recordFlagsIncompatible&^recordFlagsKnown != 0 {
		return fmt.Errorf("record flags %#04x: %w", r.Flags, ErrInvalid)
	}
	return nil
}

// appendOne encodes a record behind the buffer and applies it, or does neither.
func (w *Writer) appendOne(given *Record) error {
	r := *given
	r.Ordinal, r.UnsyncedBytes = w.edit.nextOrdinal, 0
	if r.TimestampNs == 0 {
		r.TimestampNs = w.options.Now().UnixNano()
	}
	start := len(w.buffer)
	buffer, err := EncodeRecord(w.buffer, &r)
	if err != nil {
		return err
	}
	if err := w.edit.apply(&r); err != nil {
		return err
	}
	w.buffer = buffer
	w.lengths = append(w.lengths, len(buffer)-start)
	return nil
}

// NoteVerified notes that a copy was read and found good, without a record: it is
// in State after the next Commit and in the next snapshot. A segment or tier that
// is not known is ignored.
func (w *Writer) NoteVerified(segmentID uint64, t Tier, atNs int64) {
	known, found := w.edit.segments.get(segmentID)
	if !found || t >= tierCount || known.Quarantined.Has(t) {
		return
	}
	segment := *known
	segment.VerifiedNs[t] = max(segment.VerifiedNs[t], atNs)
	w.edit.put(&segment)
}

// Err is why the Writer can not be used: nil, ErrClosed, or what poisoned it.
func (w *Writer) Err() error { return w.usable() }

func (w *Writer) usable() error {
	switch {
	case w.failure != nil:
		return w.failure
	case w.closed:
		return ErrClosed
	default:
		return nil
	}
}

// poison makes every later call fail: what is on disk is unknown from here on.
func (w *Writer) poison(what string, err error) error {
	w.failure = fmt.Errorf("%w: %s: %w", ErrPoisoned, what, err)
	return w.failure
}

// epoch is what new chunks carry.
func (w *Writer) epoch() uint64 { return max(w.options.Epoch, w.edit.log.Epoch) }

// Close ends the Writer without a word in the manifest: the next open recovers as
// after a crash. What was appended and not committed is dropped. Closing again
// does nothing.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	return w.release()
}

// release closes the files and removes the one that was made ahead.
func (w *Writer) release() error {
	w.closed = true
	var errs []error
	for _, chunk := range []*chunkFile{w.current, w.ended} {
		if chunk != nil {
			errs = append(errs, chunk.file.Close())
		}
	}
	w.current, w.ended = nil, nil
	errs = append(errs, w.dropPrepared())
	return errors.Join(errs...)
}

// writeAll writes all of b or says why not.
func writeAll(file io.WriterAt, b []byte, offset int64) error {
	n, err := file.WriteAt(b, offset)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}
