package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/aof-nats/aof-nats/manifest"
)

// checkTries bounds how often something is looked at again because somebody may
// be changing it. What is found twice in a row is believed.
const checkTries = 5

// checkManifest verifies the manifest and takes over what it says.
func (l *logChecker) checkManifest() error {
	l.opts.OnProgress(l.name, l.paths.manifest)
	report, err := l.readManifest()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // listFiles says whether one is needed
	}
	if err != nil {
		return err
	}
	for _, damage := range report.Damage {
		reason := damage.Cause.Error()
		if damage.LostRecords() > 0 {
			reason = fmt.Sprintf("manifest records %d to %d: %s", damage.FirstOrdinal, damage.LastOrdinal, reason)
		}
		l.damaged(Finding{
			Kind: FoundDamaged, Part: PartManifest, Path: damage.Path, Offset: damage.Offset, Bytes: damage.LengthBytes, Reason: reason,
		})
	}
	for _, contradiction := range report.Contradictions {
		l.damaged(Finding{
			Kind: FoundContradiction, Part: PartManifest, Path: l.paths.manifest, Segment: contradiction.SegmentID, Reason: contradiction.Error(),
		})
	}
	if report.LogID != 0 && report.LogID != l.id {
		l.damaged(Finding{
			Kind: FoundContradiction, Part: PartManifest, Path: l.paths.manifest,
			Reason: fmt.Sprintf("it is of log %016x, not of %016x", report.LogID, l.id),
		})
	}
	l.noteManifest(report)
	return nil
}

// noteManifest notes what is no damage.
func (l *logChecker) noteManifest(report *manifest.Report) {
	if cut := report.TornTail; cut != nil {
		l.note(Finding{
			Kind: FoundTorn, Part: PartManifest, Path: filepath.Join(l.paths.manifest, manifest.ChunkName(cut.Chunk)),
			Offset: cut.Offset, Bytes: cut.LengthBytes, Reason: "the last commit was not written to the end",
		})
	}
	for _, name := range report.Unknown {
		l.note(Finding{
			Kind: FoundUnknown, Part: PartManifest, Path: filepath.Join(l.paths.manifest, name), Reason: "neither a chunk nor a snapshot",
		})
	}
}

// readManifest reads the manifest until nothing in it is wrong, or the same
// twice: a writer at work changes it.
func (l *logChecker) readManifest() (*manifest.Report, error) {
	var before *manifest.Report
	var failedBefore error
	for try := 1; ; try++ {
		if err := l.ctx.Err(); err != nil {
			return nil, err
		}
		report, err := manifest.Check(l.fs, l.paths.manifest)
		switch {
		case errors.Is(err, manifest.ErrNewerVersion):
			return nil, fmt.Errorf("%w: %w", ErrNewerFormat, err)
		case err != nil && (try == checkTries || failedBefore != nil && failedBefore.Error() == err.Error()):
			return nil, err
		case err == nil && (report.Err() == nil || try == checkTries || before != nil && sameErrors(report.Err(), before.Err())):
			l.logFiles = &logFiles{state: l.withAssumed(report.State)}
			return report, nil
		}
		before, failedBefore = report, err
	}
}

func sameErrors(a, b error) bool { return a != nil && b != nil && a.Error() == b.Error() }

// sameFindings reports whether two looks found the same.
func sameFindings(a, b []Finding) bool {
	return slices.EqualFunc(a, b, func(a, b Finding) bool { return reflect.DeepEqual(a, b) })
}
