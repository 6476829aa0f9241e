package engine

import (
	"fmt"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// This file tells the segment files of a log from what only has the name of one: a
// copy under another name, or an older one that was put back beside it.

// strayFile is a segment file that is not part of the log, and why.
type strayFile struct {
	name   segmentName
	reason string
}

// fileContradicts says why a segment file is not part of the log, "" if it is.
func (l *Log) fileContradicts(name segmentName) (why string, err error) {
	entry := l.journal.state().Segment(name.id)
	opened := entry != nil && entry.Opened
	if opened && entry.BaseSeq != name.baseSeq {
		return fmt.Sprintf("the manifest has segment %d with base sequence %d", entry.ID, entry.BaseSeq), nil
	}
	ends, err := l.readEndsOf(name)
	if isUnreadable(err) {
		return "", nil // examine tells whether it can do without
	}
	if err != nil {
		return "", err
	}
	header, verifies := decoded(segment.DecodeHeader(ends.head))
	own := l.isNamed(name, header.LogID, header.ID, header.BaseSeq)
	switch {
	case !verifies: // examine tells damage from a newer version
		return "", nil
	case opened && own && header.Salt != entry.Salt:
		return "its salt is not the one that the manifest has", nil
	case !opened && !own && !l.hasFooterOf(name, ends):
		return fmt.Sprintf("its header is that of segment %d of log %016x with base sequence %d", header.ID, header.LogID, header.BaseSeq), nil
	}
	return "", nil
}

// decoded is what was decoded, and whether it verifies.
func decoded[T any](value T, err error) (T, bool) { return value, err == nil }

// hasFooterOf reports whether the end of a file is the footer that its name asks for.
func (l *Log) hasFooterOf(name segmentName, ends fileEnds) bool {
	footer, verifies := decoded(segment.DecodeFooter(ends.tail))
	return verifies && l.isNamed(name, footer.LogID, footer.ID, footer.BaseSeq)
}

func (l *Log) isNamed(name segmentName, logID, id, baseSeq uint64) bool {
	return logID == l.id && id == name.id && baseSeq == name.baseSeq
}

func (l *Log) readEndsOf(name segmentName) (ends fileEnds, err error) {
	file, err := l.engine.opts.FS.Open(l.paths.segment(name))
	if err != nil {
		return ends, err
	}
	defer func() { err = joinClose(err, file.Close()) }()
	return readFileEnds(file)
}

// partStrays parts segment files that contradict each other. names, in order of id,
// do not contradict the manifest by themselves. The error matches ErrDamaged where
// nothing says which of two files is the log's.
func (l *Log) partStrays(names []segmentName) (own []segmentName, strays []strayFile, err error) {
	for i := 0; i < len(names); {
		end := i + 1
		for end < len(names) && names[end].id == names[i].id {
			end++
		}
		one, err := l.ownOf(names[i:end])
		if err != nil {
			return nil, nil, err
		}
		for _, name := range names[i:end] {
			if name != one {
				strays = append(strays, strayFile{name, fmt.Sprintf("segment %d is in %s", one.id, one)})
			}
		}
		if why := l.outOfOrder(one); why != "" {
			strays = append(strays, strayFile{one, why})
		} else {
			own = append(own, one)
		}
		i = end
	}
	return own, strays, checkOrder(own)
}

// ownOf is the file of a segment among those of its id: the one that was made when
// the manifest says, or else the one whose header says the time in its name.
func (l *Log) ownOf(names []segmentName) (segmentName, error) {
	if len(names) == 1 {
		return names[0], nil
	}
	entry := l.journal.state().Segment(names[0].id)
	for _, name := range names {
		if entry != nil && entry.Opened && entry.OpenedNs == name.created {
			return name, nil
		}
	}
	var fitting []segmentName
	for _, name := range names {
		ends, err := l.readEndsOf(name)
		if err != nil {
			return segmentName{}, err
		}
		header, verifies := decoded(segment.DecodeHeader(ends.head))
		if verifies && l.isNamed(name, header.LogID, header.ID, header.BaseSeq) && header.Created == name.created {
			fitting = append(fitting, name)
		}
	}
	if len(fitting) != 1 {
		return segmentName{}, undecided(names[0], names[1])
	}
	return fitting[0], nil
}

// outOfOrder says which segment of the manifest a file contradicts that the manifest
// does not have, "" if none.
func (l *Log) outOfOrder(name segmentName) string {
	state := l.journal.state()
	if entry := state.Segment(name.id); entry != nil && entry.Opened {
		return ""
	}
	for entry := range state.Segments() {
		if entry.Opened && (entry.ID < name.id && entry.BaseSeq > name.baseSeq || entry.ID > name.id && entry.BaseSeq < name.baseSeq) {
			return fmt.Sprintf("the manifest has segment %d with base sequence %d", entry.ID, entry.BaseSeq)
		}
	}
	return ""
}

// checkOrder reports names that cannot all be those of one log's segments.
func checkOrder(names []segmentName) error {
	for i := 1; i < len(names); i++ {
		if names[i].id == names[i-1].id || names[i].baseSeq < names[i-1].baseSeq {
			return undecided(names[i-1], names[i])
		}
	}
	return nil
}

func undecided(a, b segmentName) error {
	return fmt.Errorf("%w: segment files %s and %s contradict each other, and neither the manifest nor their headers say which one is the log's: "+
		"move the one that was put there out of the directory, keep it, and open the log again", ErrDamaged, a, b)
}

// putStraysAside moves segment files out of the log that are not part of it, and
// returns the others. What is wrong with a single file that the manifest knows is
// found when it is taken.
func (r *recovery) putStraysAside(names []segmentName) ([]segmentName, error) {
	l, state := r.log, r.log.journal.state()
	var fitting []segmentName
	var strays []strayFile
	for i, name := range names {
		entry := state.Segment(name.id)
		isOne := (i == 0 || names[i-1].id != name.id) && (i+1 == len(names) || names[i+1].id != name.id)
		if isOne && entry != nil && entry.Opened && entry.BaseSeq == name.baseSeq {
			fitting = append(fitting, name)
			continue
		}
		why, err := l.fileContradicts(name)
		if err != nil {
			return nil, fmt.Errorf("examine segment %d: %w", name.id, err)
		}
		if why != "" {
			strays = append(strays, strayFile{name, why})
		} else {
			fitting = append(fitting, name)
		}
	}
	own, more, err := l.partStrays(fitting)
	if err != nil {
		return nil, err
	}
	for _, stray := range append(strays, more...) {
		if err := r.quarantineFile(stray.name, stray.reason); err != nil {
			return nil, err
		}
	}
	return own, nil
}
