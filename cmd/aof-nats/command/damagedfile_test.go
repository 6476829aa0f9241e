package command

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

// This file damages a byte, or a sector, of every class of file that a root and a
// bucket have, and lets every verb meet it.

// damageable is a root, its bucket and copies of both. Its log N holds the records 1
// to count in every tier, and what each of its lines is.
type damageable struct {
	work, kept string
	count      int
}

func (d *damageable) root() string   { return filepath.Join(d.work, "root") }
func (d *damageable) bucket() string { return filepath.Join(d.work, "bucket") }

func (d *damageable) reset(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(d.work); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(d.work, os.DirFS(d.kept)); err != nil {
		t.Fatal(err)
	}
}

// damageableLine is the payload of record n, which a compressor makes half as long.
func damageableLine(n int) string {
	noise := make([]byte, 350)
	random := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
	_, _ = random.Read(noise) // never fails
	return fmt.Sprintf("number-%d. %x", n, noise)
}

// newDamageable makes the root: by two owners, one of which found its manifest lost,
// so that there are a snapshot and two claims.
func newDamageable(t *testing.T) *damageable {
	t.Helper()
	d := &damageable{work: filepath.Join(t.TempDir(), "work"), kept: filepath.Join(t.TempDir(), "kept")}
	for owner := range 2 {
		eng, err := engine.Open(d.root(), engine.Options{
			Bucket: "file://" + d.bucket(), HotBytesMax: 512 << 10, WarmBytesMax: 320 << 10,
		})
		if err != nil {
			t.Fatal(err)
		}
		log, err := eng.OpenLog("N", engine.LogOptions{SegmentBytesMax: segmentBytesFloor})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			for range 60 {
				d.count++
				rec := engine.Record{Subject: []byte("n.a"), Payload: []byte(damageableLine(d.count))}
				if _, err := log.AppendSync(testContext(t), &rec); err != nil {
					t.Fatal(err)
				}
			}
			if err := log.Seal(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Wait(testContext(t), uint64(d.count), engine.Cold); err != nil {
			t.Fatal(err)
		}
		if owner == 1 {
			eventually(t, "a segment is in each tier alone", func() bool {
				segments := log.State().Segments
				isCold := func(s engine.SegmentState) bool { return s.HotBytes+s.WarmBytes == 0 }
				isWarm := func(s engine.SegmentState) bool { return s.HotBytes == 0 && s.WarmBytes > 0 }
				return slices.ContainsFunc(segments, isCold) && slices.ContainsFunc(segments, isWarm)
			})
		}
		for range 20 {
			d.count++
			rec := engine.Record{Subject: []byte("n.a"), Payload: []byte(damageableLine(d.count))}
			if _, err := log.AppendSync(testContext(t), &rec); err != nil {
				t.Fatal(err)
			}
		}
		if err := eng.Close(); err != nil {
			t.Fatal(err)
		}
		if owner == 0 {
			if err := os.RemoveAll(filepath.Join(d.root(), "logs", "N", "manifest")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Truncate(filepath.Join(d.root(), "reserve"), 4096); err != nil { // it is made long again
		t.Fatal(err)
	}
	if err := os.Rename(d.work, d.kept); err != nil {
		t.Fatal(err)
	}
	return d
}

// What a verb may make of damage.
type outcome int

const (
	// whole: every record is read, with or without a word of what was damaged.
	whole outcome = iota
	// partly: what the damage costs is named, exit code 5, and all else is read.
	partly
	// refused: nothing is read, exit code 5, and the error says what to do.
	refused
	// away: the bucket cannot be found, exit code 4. What is only there is not read.
	away
)

// spot is a place in a file of a class, and what reading makes of damage there.
type spot struct {
	class, what string
	// glob finds the files below the directory of root and bucket; the one with that
	// number, from the end if it is negative, is damaged at the offset that at gives.
	glob   string
	number int
	at     func(contents []byte) int
	// root is what a reader of the root finds, bare one of the bucket alone. silent
	// says that the bytes mean nothing, or nobody can tell what they were.
	root, bare outcome
	silent     bool
}

func from(offset int) func([]byte) int { return func([]byte) int { return offset } }
func fromEnd(back int) func([]byte) int {
	return func(b []byte) int { return max(0, len(b)-back) }
}
func share(part, of int) func([]byte) int {
	return func(b []byte) int { return len(b) * part / of }
}
func behind(text string) func([]byte) int {
	return func(b []byte) int { return bytes.Index(b, []byte(text)) + len(text) }
}

// digitBehind is the first digit behind a text that no flip makes a quote.
func digitBehind(text string) func([]byte) int {
	return func(b []byte) int {
		at := behind(text)(b)
		for b[at] == '2' {
			at++
		}
		return at
	}
}

// usedEnd is so many bytes in front of the zeros at the end.
func usedEnd(back int) func([]byte) int {
	return func(b []byte) int { return max(0, len(bytes.TrimRight(b, "\x00"))-back) }
}

const (
	logDir    = "root/logs/N/"
	folderDir = "bucket/N.*+/"
)

var damagedSpots = []spot{
	{"engine.json", "syntax", "root/engine.json", 0, from(0), refused, whole, false},
	{"engine.json", "version", "root/engine.json", 0, behind(`"format_version": `), refused, whole, false},
	{"engine.json", "node id", "root/engine.json", 0, digitBehind(`"node_id": "`), whole, whole, true},
	{"engine.json", "bucket", "root/engine.json", 0, behind(`"bucket": "`), away, whole, false},
	{"engine.json", "name", "root/engine.json", 0, behind(`"buck`), away, whole, false},
	{"LOCK", "all", "root/LOCK", 0, from(0), whole, whole, true},
	{"reserve", "middle", "root/reserve", 0, from(100), whole, whole, true},
	{"log.json", "syntax", logDir + "log.json", 0, from(0), refused, whole, false},
	{"log.json", "log id", logDir + "log.json", 0, behind(`"log_id": "`), refused, whole, false},
	{"log.json", "name", logDir + "log.json", 0, behind(`"name": "`), refused, whole, false},
	{"log.json", "folder", logDir + "log.json", 0, behind(`"bucket_folder": "`), refused, whole, false},
	{"claim.json", "syntax", logDir + "claim.json", 0, from(0), whole, whole, false},
	{"claim.json", "token", logDir + "claim.json", 0, digitBehind(`"token": "`), whole, whole, true},
	{"claim.json", "epoch", logDir + "claim.json", 0, behind(`"epoch": `), whole, whole, false},
	{"incomplete.json", "syntax", logDir + "incomplete.json", 0, from(0), whole, whole, true},
	{"incomplete.json", "reason", logDir + "incomplete.json", 0, behind(`"reason": "`), whole, whole, true},
	{"sealed segment", "header", logDir + "segments/*.seg", 0, from(24), whole, whole, false},
	{"sealed segment", "record header", logDir + "segments/*.seg", 0, from(136), whole, whole, false},
	{"sealed segment", "record", logDir + "segments/*.seg", 0, share(1, 2), whole, whole, false},
	{"sealed segment", "index", logDir + "segments/*.seg", 0, fromEnd(192 + 40), whole, whole, false},
	{"sealed segment", "footer", logDir + "segments/*.seg", 0, fromEnd(100), whole, whole, false},
	{"unsealed segment", "header", logDir + "segments/*.seg", -1, from(56), whole, whole, false},
	{"unsealed segment", "record header", logDir + "segments/*.seg", -1, from(136 + 56), partly, whole, false},
	{"unsealed segment", "record", logDir + "segments/*.seg", -1, behind("number-995. "), partly, whole, false},
	{"unsealed segment", "first mark", logDir + "segments/*.seg", -1, usedEnd(80), whole, whole, false},
	{"unsealed segment", "last mark", logDir + "segments/*.seg", -1, usedEnd(10), whole, whole, false},
	{"unsealed segment", "room behind", logDir + "segments/*.seg", -1, fromEnd(3000), whole, whole, true},
	{"warm file", "first frame", logDir + "warm/*.zst", 0, from(10), whole, whole, false},
	{"warm file", "last frame", logDir + "warm/*.zst", 0, fromEnd(150), whole, whole, false},
	{"warm file", "seek table", logDir + "warm/*.zst", 0, fromEnd(12), whole, whole, false},
	{"chunk", "header", logDir + "manifest/*.mlog", 0, from(40), whole, whole, false},
	{"chunk", "first record", logDir + "manifest/*.mlog", 0, from(136), whole, whole, false},
	{"chunk", "record", logDir + "manifest/*.mlog", -1, func(b []byte) int { return usedEnd(0)(b) / 2 }, whole, whole, false},
	{"chunk", "last record", logDir + "manifest/*.mlog", -1, usedEnd(20), whole, whole, false},
	{"snapshot", "header", logDir + "manifest/snapshot_*.bin", 0, from(20), whole, whole, false},
	{"snapshot", "entries", logDir + "manifest/snapshot_*.bin", 0, share(1, 2), whole, whole, false},
	{"snapshot", "checksum", logDir + "manifest/snapshot_*.bin", 0, fromEnd(4), whole, whole, false},
	{"claim in the bucket", "syntax of the first", folderDir + "epochs+/*", 0, from(0), whole, whole, false},
	{"claim in the bucket", "syntax of the last", folderDir + "epochs+/*", -1, from(0), whole, whole, false},
	{"claim in the bucket", "token", folderDir + "epochs+/*", -1, digitBehind(`"token":"`), whole, whole, true},
	{"log.json in the bucket", "syntax", folderDir + "log.json", 0, from(0), whole, whole, false},
	{"log.json in the bucket", "log id", folderDir + "log.json", 0, behind(`"log_id": "`), whole, whole, false},
	{"object, the only copy", "first frame", folderDir + "segments+/*.zst", 0, from(10), partly, partly, false},
	{"object, the only copy", "last frame", folderDir + "segments+/*.zst", 0, fromEnd(150), whole, whole, false},
	{"object, the only copy", "seek table", folderDir + "segments+/*.zst", 0, fromEnd(12), whole, whole, false},
	{"object", "first frame", folderDir + "segments+/*.zst", -1, from(10), whole, partly, false},
	{"object", "last frame", folderDir + "segments+/*.zst", -1, fromEnd(150), whole, whole, false},
}

// damage flips a bit at a spot, or makes its sector zeros.
func (d *damageable) damage(t *testing.T, s spot, zero bool) {
	t.Helper()
	if s.class == "incomplete.json" { // as an open leaves it that could not ask the bucket
		marker := `{"format_version": 1, "since": "2026-01-02T03:04:05Z", "reason": "the manifest is gone"}`
		if err := os.WriteFile(filepath.Join(d.work, s.glob), []byte(marker), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(d.work, s.glob))
	if err != nil || len(paths) == 0 {
		t.Fatal(s.glob, paths, err)
	}
	path := paths[(s.number+len(paths))%len(paths)]
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(contents) == 0 {
		contents = []byte{0}
	}
	at := s.at(contents)
	if zero {
		at -= at % 512
		clear(contents[at:min(at+512, len(contents))])
	} else {
		contents[at] ^= 0x10
	}
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		t.Fatal(err)
	}
}

var numberInLine = regexp.MustCompile(`^number-([0-9]+)\.`)

// missingIn verifies lines of records and returns the numbers that are not there.
func (d *damageable) missingIn(t *testing.T, out string, last int) (missing []int) {
	t.Helper()
	next := 1
	for line := range strings.Lines(out) {
		match := numberInLine.FindStringSubmatch(line)
		if match == nil {
			if strings.TrimSuffix(line, "\n") != "new" {
				t.Errorf("a line that nobody wrote: %.60q", line)
			}
			continue
		}
		n, _ := strconv.Atoi(match[1])
		if n < next || line != damageableLine(n)+"\n" {
			t.Errorf("at %d stands %.60q", next, line)
		}
		for ; next < n; next++ {
			missing = append(missing, next)
		}
		next = n + 1
	}
	for ; next <= last; next++ {
		missing = append(missing, next)
	}
	return missing
}

// read reads as much of a place as can be read, and returns what it lacks.
func (d *damageable) read(t *testing.T, place string, last int) (result, []int) {
	t.Helper()
	r := run(t, "read", "N", "--root", place, "--format", "raw", "--delimiter", `\n`, "--skip-damaged")
	return r, d.missingIn(t, r.stdout, last)
}

// mustBe compares what a reader did with what it may.
func (o outcome) mustBe(t *testing.T, who string, r result, missing []int, last int) {
	t.Helper()
	got := whole
	switch {
	case len(missing) == last:
		got = refused
	case len(missing) > 0:
		got = partly
	}
	if o == away && r.code == exitIO && strings.Contains(r.stderr, "only in the bucket") {
		return
	}
	if got != o {
		t.Errorf("%s: %d records are missing, exit code %d: %s", who, len(missing), r.code, r.stderr)
	}
}

// mustTell wants a reader that lacks records to say so, and what to do.
func mustTell(t *testing.T, who string, r result, missing []int) {
	t.Helper()
	isAway := r.code == exitIO && strings.Contains(r.stderr, "only in the bucket")
	if len(missing) == 0 && r.code != exitSuccess || len(missing) > 0 && r.code != exitCorruption && !isAway {
		t.Errorf("%s: %d records are missing, exit code %d: %s", who, len(missing), r.code, r.stderr)
	}
	if says := regexp.MustCompile("sequence|damaged|bucket").MatchString(r.stderr) && regexp.MustCompile("copy|restore|serve").MatchString(r.stderr); r.code != exitSuccess && !says {
		t.Errorf("%s does not say what is damaged and what to do: %s", who, r.stderr)
	}
}

func TestEveryVerbMeetsDamageInEveryFile(t *testing.T) {
	d := newDamageable(t)
	d.reset(t)
	_, missing := d.read(t, "file://"+d.bucket(), d.count)
	cold := missing[0] - 1 // the bucket holds the records up to here
	class := ""
	for _, s := range damagedSpots {
		t.Run(fmt.Sprintf("%s/%s/flipped", s.class, s.what), func(t *testing.T) { d.meet(t, s, false, cold) })
		if s.class != class { // a sector is as much as most of these places have
			t.Run(fmt.Sprintf("%s/%s/zeroed", s.class, s.what), func(t *testing.T) { d.meet(t, s, true, cold) })
		}
		class = s.class
	}
}

// meet damages a spot and lets every verb meet it.
func (d *damageable) meet(t *testing.T, s spot, zero bool, cold int) {
	d.reset(t)
	d.damage(t, s, zero)
	before := tree(t, d.work)
	r, missing := d.read(t, d.root(), d.count)
	bare, bareMissing := d.read(t, "file://"+d.bucket(), cold)
	if !zero {
		s.root.mustBe(t, "read --root DIR", r, missing, d.count)
		s.bare.mustBe(t, "read --root URL", bare, bareMissing, cold)
	}
	mustTell(t, "read --root DIR", r, missing)
	mustTell(t, "read --root URL", bare, bareMissing)
	for _, args := range [][]string{{"log", "ls"}, {"log", "info", "N"}} {
		c := run(t, append(args, "--root", d.root())...)
		if isRefused := r.code == exitCorruption && len(missing) == d.count; isRefused != (c.code == exitCorruption) || !isRefused && c.code != exitSuccess {
			t.Errorf("%v: exit code %d: %s", args, c.code, c.stderr)
		}
	}
	f := run(t, "fsck", "--deep", d.root())
	if isSound := f.code == exitSuccess; isSound && len(missing) > 0 || !zero && isSound != s.silent {
		t.Errorf("fsck: exit code %d with %d records missing: %s", f.code, len(missing), f.stdout)
	}
	if tree(t, d.work) != before {
		t.Error("reading changed the root or the bucket")
	}
	d.serve(t, missing)
}

// serve opens the damaged root for writing, which loses nothing more.
func (d *damageable) serve(t *testing.T, missing []int) {
	t.Helper()
	s := startCommand(t, "serve", "--listen", "127.0.0.1:0", "--http", "", "--root", d.root(), "--log", "N=n.>",
		"--bucket", "file://"+d.bucket(), "--segment-bytes", "64KiB", "--hot-bytes", "512KiB", "--warm-bytes", "320KiB")
	if !s.isServing(t) {
		r := result{code: s.code, stderr: s.stderr.String()}
		mustTell(t, "serve", r, missing)
		if len(missing) < d.count {
			t.Errorf("serve does not start: %s", r.stderr)
		}
		return
	}
	url := regexp.MustCompile(`"nats_url":"([^"]*)"`).FindStringSubmatch(s.stderr.String())[1]
	succeed(t, "pub", "-s", url, "n.a", "new")
	online := run(t, "read", "N", "-s", url, "--format", "raw", "--delimiter", `\n`, "--skip-damaged")
	d.mustHold(t, "read -s URL", online, missing)
	s.interrupt()
	if code := s.wait(t); code != exitSuccess {
		t.Errorf("serve ends with %d: %s", code, s.stderr)
	}
	r, _ := d.read(t, d.root(), d.count)
	d.mustHold(t, "read --root DIR behind it", r, missing)
}

// mustHold wants what could be read before, and the new record behind it.
func (d *damageable) mustHold(t *testing.T, who string, r result, before []int) {
	t.Helper()
	lacks := d.missingIn(t, r.stdout, d.count)
	mustTell(t, who, r, lacks)
	for _, n := range lacks {
		if !slices.Contains(before, n) {
			t.Errorf("%s: record %d is lost", who, n)
		}
	}
	if !strings.HasSuffix(r.stdout, "\nnew\n") {
		t.Errorf("%s: the new record is not the last one", who)
	}
}

// isServing waits until a server serves, or ends.
func (r *running) isServing(t *testing.T) bool {
	t.Helper()
	for {
		if strings.Contains(r.stderr.String(), `"msg":"serving"`) {
			return true
		}
		select {
		case <-r.stderr.written:
		case <-r.done:
			return false
		case <-testContext(t).Done():
			t.Fatalf("neither serving nor ended: %q", r.stderr)
		}
	}
}
