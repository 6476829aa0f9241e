package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/internal/vfs"
	"github.com/aof-nats/aof-nats/manifest"
)

func TestCheckNamesEveryMissingFile(t *testing.T) {
	r := newCheckedRoot(t, 900)
	all := r.with(t, manifest.TierHot, manifest.TierWarm, manifest.TierCold)
	cold := r.with(t, manifest.TierCold)
	active := r.state.LastSegment()
	for name, c := range map[string]struct {
		path string
		part FindingPart
		cost FindingCost
		last uint64
	}{
		"segment file with other copies":  {r.paths.hotFile(all), "hot", CostRepairable, all.LastSeq},
		"warm file":                       {r.paths.warmFile(all), "warm", CostRepairable, all.LastSeq},
		"object with other copies":        {r.object(all.Cold.Key), "cold", CostRepairable, all.LastSeq},
		"only object":                     {r.object(cold.Cold.Key), "cold", CostLost, cold.LastSeq},
		"segment file that is not sealed": {r.paths.hotFile(active), "hot", CostLost, 0},
		"manifest":                        {r.paths.manifest, PartManifest, CostNone, 0},
		"identity of the log":             {r.paths.logFile(), PartLog, CostNone, 0},
		"identity in the bucket":          {r.object(bucket.LogKey), PartBucket, CostNone, 0},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			changed(t, c.path, nil, func() {
				found := wantFinding(t, checkPlace(t, r.root, CheckOptions{}), c.path, c.part)
				if found.Kind != FoundMissing || found.LastSeq < c.last {
					t.Errorf("%v", found)
				}
				if found.Cost != c.cost && found.costsRecords() {
					t.Errorf("%v, want %s", found, c.cost)
				}
			})
		})
	}
}

// A segment of which no copy is left leaves a gap in a bucket without a root, and
// one whose newest object is damaged is read from the generation before.
func TestCheckOfABucketAlone(t *testing.T) {
	r := newCheckedRoot(t, 700)
	url := "file://" + r.bucket
	var second *manifest.Segment
	for entry := range r.state.Segments() {
		if entry.ID == 2 {
			second = entry
		}
	}
	path := r.object(second.Cold.Key)
	changed(t, path, nil, func() {
		report := checkPlace(t, url, CheckOptions{}, r.bucket)
		found := report.Logs[0].Damage
		if len(found) != 1 || found[0].Cost != CostLost || found[0].FirstSeq != second.FirstSeq || found[0].LastSeq != second.LastSeq {
			t.Errorf("%+v", found)
		}
	})
	key := bucket.SegmentKey{ID: second.ID, First: second.FirstSeq, Last: second.LastSeq, Generation: second.Cold.Generation + 1}
	newer := r.object(key.String())
	if err := os.WriteFile(newer, flipped(t, path, 3000), 0o600); err != nil {
		t.Fatal(err)
	}
	report := checkPlace(t, url, CheckOptions{Deep: true}, r.bucket)
	if found := wantFinding(t, report, newer, "cold"); found.Cost != CostRepairable || report.Logs[0].Records != uint64(r.count-5) {
		t.Errorf("%v, %+v", found, report.Logs[0])
	}
	report = checkPlace(t, r.root, CheckOptions{}, r.root)
	if !report.OK() || !hasNote(report, FoundUnknown) {
		t.Errorf("an object that the manifest does not know: %v, %+v", report.Err(), report.Logs[0].Notes)
	}
	if err := os.Remove(newer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.object(bucket.EpochKey(99)), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{url, r.root} {
		if found := wantFinding(t, checkPlace(t, place, CheckOptions{}), r.folder+"/"+bucket.EpochsPrefix, PartBucket); !strings.Contains(found.Reason, "98") {
			t.Errorf("%v", found)
		}
	}
}

func TestCheckOfARootWhoseBucketDoesNotAnswer(t *testing.T) {
	r := newCheckedRoot(t, 700)
	all := r.with(t, manifest.TierHot, manifest.TierWarm, manifest.TierCold)
	wantUnchecked := func(t *testing.T, report *CheckReport) {
		t.Helper()
		if len(report.Unchecked) != 1 || report.OK() || report.FindingCount() != 0 || errors.Is(report.Err(), ErrDamaged) {
			t.Fatalf("%+v", report)
		}
		if text := report.Err().Error(); !strings.Contains(text, "not checked") || !strings.Contains(text, "local files were checked") {
			t.Error(text)
		}
		found := &report.Logs[0]
		if found.LastSeq != uint64(r.count) || found.Copies[manifest.TierHot] == 0 || found.Copies[manifest.TierWarm] == 0 {
			t.Errorf("%+v", found)
		}
	}
	t.Run("gone", func(t *testing.T) {
		changed(t, r.bucket, nil, func() {
			wantUnchecked(t, checkPlace(t, r.root, CheckOptions{}, r.root))
			path := r.paths.hotFile(all)
			changed(t, path, nil, func() {
				report := checkPlace(t, r.root, CheckOptions{})
				if found := wantFinding(t, report, path, "hot"); found.Cost != CostRepairable || found.RepairFrom != "warm" {
					t.Errorf("%v", found)
				}
				if len(report.Unchecked) != 1 {
					t.Errorf("%+v", report.Unchecked)
				}
			})
			if _, err := Check(t.Context(), "file://"+r.bucket, CheckOptions{}); err == nil || errors.Is(err, ErrDamaged) {
				t.Errorf("check of a bucket that is gone: %v", err)
			}
		})
	})
	t.Run("unreachable", func(t *testing.T) {
		retry := bucket.Retry{Attempts: 1, Delay: time.Millisecond}
		for after := 0; ; after++ { // also when it stops to answer in the middle
			disk := vfs.NewFaulty(vfs.OS())
			disk.Add(vfs.Rule{Op: vfs.OpReadDir | vfs.OpStat | vfs.OpRead, After: after, Err: errIO})
			report := checkPlace(t, r.root, CheckOptions{BucketFS: disk, bucketRetry: retry}, r.root)
			if report.OK() && after > 8 {
				break // it did not ask more often
			}
			wantUnchecked(t, report)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Check(ctx, r.root, CheckOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestCheckOfANewerFormatAndOfNoRoot(t *testing.T) {
	s := newSpecimen(t, true)
	segmentFile := s.path(s.root, 1)
	contents, err := os.ReadFile(segmentFile)
	if err != nil {
		t.Fatal(err)
	}
	for path, contents := range map[string][]byte{
		filepath.Join(s.root, engineFileName):    []byte(`{"format_version": 99}`),
		newLogLayout(s.root, "orders").logFile(): []byte(`{"format_version": 99}`),
		segmentFile:                              newerHeader(s, 1)(contents),
	} {
		changed(t, path, contents, func() {
			if _, err := Check(t.Context(), s.root, CheckOptions{}); !errors.Is(err, ErrNewerFormat) {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	if _, err := Check(t.Context(), t.TempDir(), CheckOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("check of no root: %v", err)
	}
	if _, err := Check(t.Context(), "nowhere://x", CheckOptions{}); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("check of an unknown kind of bucket: %v", err)
	}
}
