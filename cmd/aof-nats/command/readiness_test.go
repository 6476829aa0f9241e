package command

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readiness is what /readyz answers.
type readiness struct {
	status   int
	Ready    bool
	Reasons  []string
	Warnings []string
}

func (s *serving) readiness(t *testing.T) (r readiness) {
	t.Helper()
	status, body := get(t, s.HTTPURL+"/readyz")
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("/readyz answers %q: %v", body, err)
	}
	r.status = status
	if r.Ready != (status == http.StatusOK) || r.Ready != (len(r.Reasons) == 0) || r.Reasons == nil || r.Warnings == nil {
		t.Errorf("/readyz answers %d %s", status, body)
	}
	return r
}

// tells reports whether one of the texts holds all the parts.
func tells(texts []string, parts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
	})
}

// metric is the value of one series, as it is written.
func (s *serving) metric(t *testing.T, series string) string {
	t.Helper()
	_, body := get(t, s.HTTPURL+"/metrics")
	for line := range strings.SplitSeq(body, "\n") {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return value
		}
	}
	t.Fatalf("/metrics does not have %s", series)
	return ""
}

// A bucket that is away is a warning; when what waits for it has filled the disk
// limits, publishers are refused and the process is not ready. When the bucket
// is back, both end by themselves.
func TestABucketThatIsAwayIsAWarningUntilTheLimitsAreFull(t *testing.T) {
	dir := t.TempDir()
	bucket, away := filepath.Join(dir, "bucket"), filepath.Join(dir, "away")
	s := serve(t, "--root", filepath.Join(dir, "root"), "--log", "A=a.>", "--bucket", "file://"+bucket,
		"--segment-bytes", "64KiB", "--hot-bytes", "512KiB", "--warm-bytes", "64KiB")
	if err := os.Rename(bucket, away); err != nil {
		t.Fatal(err)
	}
	payload := filepath.Join(dir, "payload")
	if err := os.WriteFile(payload, incompressible(20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the outage is told", func() bool {
		run(t, "pub", "-s", s.NATSURL, "a.x", "--file", payload)
		return tells(s.readiness(t).Warnings, "the bucket takes nothing since", bucket)
	})
	if seconds := s.metric(t, "aof_bucket_outage_seconds"); seconds == "0" {
		t.Error("the metric knows of no outage")
	}
	eventually(t, "publishers are refused", func() bool {
		return run(t, "pub", "-s", s.NATSURL, "a.x", "--file", payload).code == exitTimeout
	})
	eventually(t, "not ready while publishers are refused", func() bool {
		run(t, "pub", "-s", s.NATSURL, "a.x", "--file", payload)
		r := s.readiness(t)
		return !r.Ready && tells(r.Reasons, "log A refuses publishers", "hot budget") && tells(r.Warnings, "the bucket takes nothing")
	})
	if got := s.metric(t, `aof_log_no_room{log="A"}`); got != "1" {
		t.Errorf("aof_log_no_room is %s", got)
	}
	if err := os.Rename(away, bucket); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", func() bool {
		r := s.readiness(t)
		return r.Ready && len(r.Warnings) == 0
	})
	if out, full := s.metric(t, "aof_bucket_outage_seconds"), s.metric(t, `aof_log_no_room{log="A"}`); out != "0" || full != "0" {
		t.Errorf("an outage of %s seconds, no room %s", out, full)
	}
	succeed(t, "pub", "-s", s.NATSURL, "a.x", "served")
}

// Of two servers on copies of one root, the one that was overtaken goes on for
// its publishers and warns.
func TestAServerWhoseUploadsWereFencedWarns(t *testing.T) {
	dir := t.TempDir()
	root, other := filepath.Join(dir, "root"), filepath.Join(dir, "copy")
	flags := func(root string) []string {
		return []string{"--root", root, "--log", "A=a.>", "--bucket", "file://" + filepath.Join(dir, "bucket"), "--segment-age", "50ms"}
	}
	s := serve(t, flags(root)...)
	cold := func(s *serving, seq string) {
		t.Helper()
		succeed(t, "pub", "-s", s.NATSURL, "a.x", "payload")
		eventually(t, "it is cold", func() bool { return s.metric(t, `aof_log_cold_sequence{log="A"}`) == seq })
	}
	cold(s, "1")
	s.interrupt()
	s.wait(t)
	if err := os.CopyFS(other, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	s = serve(t, flags(root)...)
	cold(s, "2")
	fenced := serve(t, flags(other)...)
	succeed(t, "pub", "-s", fenced.NATSURL, "a.x", "payload")
	eventually(t, "the copy warns", func() bool { return tells(fenced.readiness(t).Warnings, "log A: ", "uploads", "epoch 2") })
	succeed(t, "pub", "-s", fenced.NATSURL, "a.x", "payload")
	if !fenced.readiness(t).Ready || fenced.metric(t, `aof_log_uploads_stopped{log="A"}`) != "1" || fenced.metric(t, "aof_bucket_outage_seconds") != "0" {
		t.Errorf("the copy says %+v", fenced.readiness(t))
	}
	if r := s.readiness(t); !r.Ready || len(r.Warnings) > 0 || s.metric(t, `aof_log_uploads_stopped{log="A"}`) != "0" {
		t.Errorf("the owner says %+v", r)
	}
}

// Damage to what was acknowledged is a warning, whether opening finds it or a
// reader.
func TestDamageToWhatWasAcknowledgedIsAWarning(t *testing.T) {
	root := exampleRoot(t)
	damage(t, root, "ORDERS", "Zeilen")
	s := serve(t, "--root", root, "--log", "ORDERS=orders.>", "--segment-age", "50ms")
	if r := s.readiness(t); !r.Ready || !tells(r.Warnings, "log ORDERS: ", "damaged", "sequences 2 to 2 in segment 1", "fsck") {
		t.Errorf("says %+v", r)
	}
	if got := s.metric(t, `aof_recovery_damaged_ranges{log="ORDERS"}`); got != "1" {
		t.Errorf("%s damaged ranges", got)
	}
	succeed(t, "pub", "-s", s.NATSURL, "orders.new", "sealed soon")
	eventually(t, "it is sealed", func() bool { return s.metric(t, `aof_hot_segments{log="ORDERS",state="sealed"}`) != "1" })
	damage(t, root, "ORDERS", "sealed soon")
	if copies := s.metric(t, `aof_log_damaged_copies{log="ORDERS",tier="hot"}`); copies != "0" {
		t.Errorf("%s damaged copies before anybody looked", copies)
	}
	run(t, "read", "ORDERS", "-s", s.NATSURL, "--from-seq", "6")
	eventually(t, "what a reader found is told", func() bool {
		return tells(s.readiness(t).Warnings, "log ORDERS: ", "do not verify", "in hot", "fsck")
	})
	if copies := s.metric(t, `aof_log_damaged_copies{log="ORDERS",tier="hot"}`); copies != "1" || !s.readiness(t).Ready {
		t.Errorf("%s damaged copies, %+v", copies, s.readiness(t))
	}
}
