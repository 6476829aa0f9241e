package engine

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/manifest"
)

func TestStateAndStatsSayWhereTheBytesAre(t *testing.T) {
	root, opts := filepath.Join(t.TempDir(), "root"), tieredOptions(t)
	opts.WarmBytesMax = 10 * segmentBytesFloor // more than what is hot too
	e := openOnDisk(t, root, opts)
	l := openLogTest(t, e, smallSegments())
	appendTiered(t, l, 1, 1500)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCold(t, l)
	eventually(t, "the budgets are kept and no move is under way", func() bool {
		stats := e.Stats()
		return stats.Hot.UsedBytes <= e.budgets.HotLowBytes && stats.Warm.UsedBytes <= e.budgets.WarmLowBytes &&
			stats.Warm.UsedBytes == l.State().WarmBytes
	})
	wantStateAsRecorded(t, l)
	state, stats := l.State(), e.Stats()
	if stats.Warm.UsedBytes != state.WarmBytes || stats.Warm.LimitBytes != opts.WarmBytesMax || stats.Hot.LimitBytes != opts.HotBytesMax {
		t.Errorf("warm %+v, hot %+v, the log's warm bytes are %d", stats.Warm, stats.Hot, state.WarmBytes)
	}
	sealed := uint64(0)
	for _, s := range state.Segments {
		if s.ColdBytes > 0 {
			sealed++
		}
	}
	if got := stats.Moves[MoveUpload]; got.Done != sealed || got.Failed != 0 {
		t.Errorf("%d segments are cold and uploads are %+v", sealed, got)
	}
	if len(stats.Moves) != len(moveKinds) || stats.Moves[MoveEvictHot].Done == 0 || stats.Moves[MoveEvictWarm].Done == 0 {
		t.Errorf("moves are %v", stats.Moves)
	}
	if stats.Requests.Put < sealed || stats.Requests.Get == 0 || stats.Requests.BytesOut < uint64(state.ColdBytes) {
		t.Errorf("%d segments of %d bytes are cold and requests are %+v", sealed, state.ColdBytes, stats.Requests)
	}
}

// wantStateAsRecorded compares the state with manifest and disk.
func wantStateAsRecorded(t *testing.T, l *Log) {
	t.Helper()
	nearest := make(map[string]int)
	for _, s := range l.State().Segments {
		entry := l.journal.state().Segment(s.ID)
		for tier, bytes := range map[manifest.Tier]int64{
			manifest.TierHot: s.HotBytes, manifest.TierWarm: s.WarmBytes, manifest.TierCold: s.ColdBytes,
		} {
			if entry.Resident.Has(tier) != (bytes > 0) {
				t.Errorf("segment %d: %d bytes in %s and it is resident in %s", s.ID, bytes, tier, entry.Resident)
			}
		}
		want := map[string]int64{".seg": s.HotBytes, l.paths.warm: s.WarmBytes, "segments/": s.ColdBytes}
		for place, bytes := range want {
			if s.Bytes == bytes && strings.Contains(s.Path, place) {
				nearest[place]++
			}
		}
		if s.Sealed && s.RawBytes != int64(entry.IndexOffset) {
			t.Errorf("segment %d has %d raw bytes, want %d", s.ID, s.RawBytes, entry.IndexOffset)
		}
	}
	if nearest[".seg"] == 0 || nearest[l.paths.warm] == 0 || nearest["segments/"] == 0 {
		t.Errorf("nearest copies are %v", nearest)
	}
}

func TestAURLThatIsNoBucketChangesNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	for _, url := range []string{"s3://b", "/directory", "file://relative", "file:///d?shape=round"} {
		_, err := Open(root, Options{Bucket: url})
		if CheckBucket(url) == nil || err == nil || err.Error() != CheckBucket(url).Error() {
			t.Errorf("%s: %v, want %v", url, err, CheckBucket(url))
		}
	}
	if entries, err := filepath.Glob(root + "*"); err != nil || len(entries) > 0 {
		t.Errorf("made %v, %v", entries, err)
	}
}
