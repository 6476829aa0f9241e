package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// This file makes a manifest whole again that lost records: what they said of
// segments stands in the footers of their copies. Warm files are looked at here,
// objects in adoptobjects.go; docs/adr/0015 has the reasons.

// adoptCopies looks for what the manifest does not say of copies, where there is
// a sign that it should.
func (r *recovery) adoptCopies() error {
	if err := r.adoptWarm(); err != nil {
		return err
	}
	if r.incomplete != "" || r.report.AdoptedWarm > 0 || r.unrecorded || r.isShort() {
		if err := r.adoptObjects(); err != nil {
			return err
		}
	}
	if err := r.takeOver(); err != nil {
		return err
	}
	state := r.log.journal.state()
	for _, found := range r.found {
		found.learn(r.log, state.Segment(found.name.id))
	}
	return nil
}

// learn takes over what is known of a segment file by now.
func (f *foundSegment) learn(l *Log, entry *manifest.Segment) {
	f.entry = entry
	if entry == nil {
		return
	}
	if f.file.lost == lostSalt && entry.Opened {
		f.file.lost, f.file.header, f.headerLost = "", entryHeader(l.id, entry), true
	}
	if entry.Sealed && f.footer == nil && f.file.lost == "" {
		f.footer = entryFooter(l.id, entry)
	}
}

// hotFile is the segment file that was found of a segment, nil if none was.
func (r *recovery) hotFile(id uint64) *foundSegment {
	i := slices.IndexFunc(r.found, func(f *foundSegment) bool { return f.name.id == id && !f.file.mapped.evicted })
	if i < 0 {
		return nil
	}
	return r.found[i]
}

// isShort reports whether the segments that are known are not a whole log.
func (r *recovery) isShort() bool {
	state, files := r.log.journal.state(), make(map[uint64]*foundSegment, len(r.found))
	for _, found := range r.found {
		files[found.name.id] = found
	}
	next := state.Log().TrimmedTo + 1
	for entry := range state.Segments() {
		if entry.Incomplete() || entry.BaseSeq > next {
			return true
		}
		file, copies := files[entry.ID], entry.Resident
		if file == nil {
			copies = copies.Without(manifest.TierHot)
		}
		if copies == 0 {
			return true
		}
		next = entry.BaseSeq
		switch {
		case entry.Sealed:
			next = max(next, entry.LastSeq+1)
		case file != nil && file.footer != nil:
			next = file.footer.LastSeq + 1
		default:
			next = ^uint64(0) // not known before it is read
		}
	}
	return false
}

// adoptWarm looks into the warm files that the manifest does not count on.
func (r *recovery) adoptWarm() error {
	for _, file := range slices.Sorted(maps.Keys(r.warm)) {
		name, _ := tier.ParseWarmName(file)
		entry := r.log.journal.state().Segment(name.SegmentID)
		if entry != nil && !entry.Incomplete() && entry.Sealed && filepath.Base(r.log.paths.warmFile(entry)) == file && entry.Resident.Has(manifest.TierWarm) {
			continue
		}
		if err := r.adoptWarmFile(file, name); err != nil {
			return fmt.Errorf("look into warm file %s: %w", file, err)
		}
	}
	return nil
}

// adoptWarmFile makes the manifest count on a warm file, or says why not.
func (r *recovery) adoptWarmFile(file string, name tier.WarmName) error {
	done, footer, damage, err := r.readWarm(filepath.Join(r.log.paths.warm, file), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its owner evicted it, if this is a read-only log
	}
	if err != nil || footer == nil {
		r.refuse(file, damage)
		return err
	}
	if refused := r.fits(footer); refused != "" || footer.BaseSeq != name.BaseSeq {
		r.refuse(file, errors.New("its footer is not that of the segment: "+refused))
		return nil
	}
	entry := r.log.journal.state().Segment(name.SegmentID)
	if entry != nil && entry.Sealed && entry.SealedNs != name.Sealed {
		if file, err = r.renameWarm(file, entry); err != nil || file == "" {
			return err
		}
	}
	var arrival []manifest.Record
	if entry == nil || !entry.Resident.Has(manifest.TierWarm) {
		arrival = append(arrival, manifest.Record{SegmentID: footer.ID, Payload: done})
	}
	if damage != nil { // it stays, for the frames that are good
		mark := &manifest.SegmentQuarantined{Tier: manifest.TierWarm, Reason: reasonOfDamage(damage)}
		arrival = append(arrival, manifest.Record{SegmentID: footer.ID, Payload: mark})
	}
	// A crash cut off what made it, or its eviction: no sign of records that are lost.
	cutOff := r.incomplete == "" && entry != nil && !entry.Incomplete() && entry.GoodCopies().Without(manifest.TierWarm) != 0
	refused, err := r.adoptSegment(footer, name.Sealed, arrival)
	switch {
	case refused != "":
		r.refuse(file, errors.New(refused))
	case err == nil && !cutOff:
		r.report.AdoptedWarm++
	}
	return err
}

// renameWarm gives a warm file the name that the manifest's seal asks for. It
// returns "" if another file has it, or if nothing may be written.
func (r *recovery) renameWarm(file string, entry *manifest.Segment) (string, error) {
	fsys, dir := r.log.engine.opts.FS, r.log.paths.warm
	name := filepath.Base(r.log.paths.warmFile(entry))
	if _, taken := r.warm[name]; taken || r.log.engine.readOnly {
		return "", nil
	}
	if err := fsys.Rename(filepath.Join(dir, file), filepath.Join(dir, name)); err != nil {
		return "", err
	}
	r.warm[name] = r.warm[file]
	delete(r.warm, file)
	return name, fsys.SyncDir(dir)
}

// readWarm reads a warm file whole. footer is nil if it does not open; damage is
// what does not verify.
func (r *recovery) readWarm(path string, name tier.WarmName) (done *manifest.CompressionDone, footer *segment.Footer, damage, err error) {
	l := r.log
	file, err := l.engine.opts.FS.Open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { err = joinClose(err, file.Close()) }()
	size := r.warm[filepath.Base(path)]
	ctx := context.Background() // it is a local file
	object, damage := tier.OpenObject(ctx, tier.NewFileReader(file), size, 0, tier.Identity{LogID: l.id, SegmentID: name.SegmentID})
	if damage != nil {
		return nil, nil, damage, nil
	}
	sum, err := copyAndSum(ctx, io.Discard, file, size)
	if err != nil {
		return nil, nil, nil, err
	}
	opened := object.Footer()
	done = &manifest.CompressionDone{
		ObjectBytes: uint64(size), TailBytes: uint32(object.TailBytes()), WarmCRC64: sum, Subjects: summarize(object.Index()),
	}
	return done, &opened, object.WriteSegment(ctx, io.Discard), nil
}

// refuse remembers why a warm file is not adopted.
func (r *recovery) refuse(file string, why error) {
	if why != nil {
		r.refused[file] = strings.ToValidUTF8(why.Error(), "?")
	}
}

// fits says what speaks against a segment whose footer is that: "" if nothing
// does.
func (r *recovery) fits(f *segment.Footer) string {
	state := r.log.journal.state()
	entry := state.Segment(f.ID)
	switch {
	case entry == nil && f.ID < state.Log().NextSegmentID && f.BaseSeq <= state.Log().TrimmedTo:
		return "the manifest says that retention removed this segment"
	case entry == nil:
		return ""
	case entry.Sealed:
		if differs := footerDiffers(f, entry); len(differs) > 0 {
			return strings.Join(differs, ", ") + " in the footer, not as the manifest recorded the seal"
		}
	case entry.Opened && (entry.Salt != f.Salt || entry.BaseSeq != f.BaseSeq):
		return fmt.Sprintf("the manifest has segment %d with base sequence %d and another salt", f.ID, entry.BaseSeq)
	}
	return ""
}

// adoptSegment records what the footer of a copy says of its segment, as far as
// the manifest does not have it, and that the copy has arrived. Where that
// contradicts the manifest, nothing is recorded.
func (r *recovery) adoptSegment(f *segment.Footer, sealedNs int64, arrival []manifest.Record) (refused string, err error) {
	entry, hot := r.log.journal.state().Segment(f.ID), r.hotFile(f.ID)
	var records []manifest.Record
	if entry == nil || !entry.Opened {
		created := int64(0)
		if hot != nil {
			created = hot.name.created
		}
		records = append(records, openedRecord(f.Header(created)))
	}
	if entry == nil || !entry.Sealed {
		sealed := sealedRecord(f)
		sealed.TimestampNs = sealedNs
		records = append(records, sealed)
	}
	records = append(records, arrival...)
	if entry == nil && hot == nil {
		records = append(records, manifest.Record{SegmentID: f.ID, Payload: &manifest.LocalEvicted{Tier: manifest.TierHot}})
	}
	if len(records) == 0 {
		return "", nil
	}
	err = r.record(records...)
	var contradiction *manifest.ContradictionError
	if errors.As(err, &contradiction) {
		return contradiction.Error(), nil
	}
	if err != nil {
		return "", fmt.Errorf("adopt segment %d: %w", f.ID, err)
	}
	return "", nil
}

// countHot records that segment files are there which the manifest does not count
// on: it lost that, a crash cut their eviction off, or somebody put them back.
func (r *recovery) countHot() error {
	for _, found := range r.found {
		s, entry := found.file, r.log.journal.state().Segment(found.name.id)
		if entry == nil || !entry.Sealed || entry.Resident.Has(manifest.TierHot) || entry.Resident == 0 || s.mapped.evicted || s.lost != "" {
			continue
		}
		source := manifest.TierWarm
		if !entry.Resident.Has(source) {
			source = manifest.TierCold
		}
		err := r.record(
			manifest.Record{SegmentID: entry.ID, Payload: &manifest.HydrationStarted{Source: source, Target: manifest.TierHot}},
			manifest.Record{SegmentID: entry.ID, Payload: &manifest.HydrationDone{ResidentBytes: uint64(s.bytes.Load())}},
		)
		if err != nil {
			return fmt.Errorf("record the segment file of segment %d: %w", entry.ID, err)
		}
	}
	return nil
}
