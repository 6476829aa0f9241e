package manifest

// This file is the transitions of the log as a whole that can fail or that touch
// segments.

// logTrimmed also drops the segments of which nothing is left.
func (b *builder) logTrimmed(p *LogTrimmed) error {
	if p.FirstSeqKept == 0 {
		return contradiction(ErrInvalid, "sequences begin at 1")
	}
	if p.FirstSeqKept-1 <= b.log.TrimmedTo {
		return nil
	}
	b.log.TrimmedTo = p.FirstSeqKept - 1
	b.log.NextSeq = max(b.log.NextSeq, p.FirstSeqKept)
	var gone []uint64
	for id, segment := range b.segments.all() {
		if segment.BaseSeq > b.log.TrimmedTo {
			break
		}
		if b.isRetired(segment) {
			gone = append(gone, id)
		}
	}
	for _, id := range gone {
		b.segments.remove(b.edit, id)
	}
	return nil
}

func (b *builder) ownerChanged(p *OwnerChanged) error {
	if p.Epoch == b.log.Epoch && p.Owner == b.log.Owner {
		return nil
	}
	if p.Epoch <= b.log.Epoch {
		return contradiction(ErrStaleEpoch, "epoch %d, the owner's is %d", p.Epoch, b.log.Epoch)
	}
	b.log.Epoch, b.log.Owner = p.Epoch, p.Owner
	return nil
}
