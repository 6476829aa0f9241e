package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

func TestAHealthyRootIsFoundHealthy(t *testing.T) {
	root := exampleRoot(t)
	writeLog(t, root, "EMPTY", nil)
	golden(t, "fsck.txt", succeed(t, "fsck", root))
	golden(t, "fsck.json", withoutRoot(root, succeed(t, "fsck", root, "--json", "--deep")))
}

// withoutRoot takes out what differs from run to run: where the root lies, and
// when a segment was made (the engine looks at the clock more or less often).
func withoutRoot(root, text string) string {
	return createdInName.ReplaceAllString(strings.ReplaceAll(text, root, "ROOT"), "_CREATED.seg")
}

var createdInName = regexp.MustCompile(`_[0-9]{20}\.seg`)

func TestDamageIsReportedWithItsPlaceAndSequences(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(9))
	writeLog(t, root, "OTHER", numbered(3))
	damage(t, root, "N", "number-4.")
	damage(t, root, "N", "number-7.")
	for _, deep := range []string{"--deep=false", "--deep"} {
		r := failWith(t, exitCorruption, []string{"2 findings", "keep the files"}, "fsck", root, deep)
		golden(t, "fsck-damage.txt", withoutRoot(root, r.stdout))
	}
	r := failWith(t, exitCorruption, nil, "fsck", root, "--json")
	golden(t, "fsck-damage.json", withoutRoot(root, r.stdout))
}

func TestFlippingAnyByteOfARecordIsFound(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(3))
	paths, err := filepath.Glob(filepath.Join(root, "logs", "N", "segments", "*.seg"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	healthy, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	middle := strings.Index(string(healthy), "number-2.")
	for at := middle - 16; at < middle+9; at++ {
		contents := []byte(string(healthy))
		contents[at] ^= 0x40
		if err := os.WriteFile(paths[0], contents, 0o644); err != nil {
			t.Fatal(err)
		}
		r := run(t, "fsck", root)
		if r.code != exitCorruption || !strings.Contains(r.stdout, " 2          lost ") || !strings.Contains(r.stdout, "2 records") {
			t.Fatalf("byte %d: exit code %d, %q", at, r.code, r.stdout)
		}
	}
}

func TestManySegmentsAreCheckedDeeply(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	eng, err := engine.Open(root, engine.Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		log := appendTo(t, eng, "N", engine.LogOptions{}, numbered(100))
		if err := log.Seal(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := eng.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "fsck-segments.json", withoutRoot(root, succeed(t, "fsck", root, "--deep", "--json")))
}

func TestALogThatCannotBeOpenedIsReportedBesideTheOthers(t *testing.T) {
	root := exampleRoot(t)
	writeLog(t, root, "BROKEN", nil)
	if err := os.WriteFile(filepath.Join(root, "logs", "BROKEN", "log.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := failWith(t, exitCorruption, []string{"1 finding", "no record is lost"}, "fsck", root)
	if !strings.Contains(r.stdout, "BROKEN: DAMAGED") || !strings.Contains(r.stdout, "ORDERS: ok: 5 records") {
		t.Errorf("printed %q", r.stdout)
	}
}

func TestFsckOfNoRoot(t *testing.T) {
	failWith(t, exitNotFound, []string{"is no root"}, "fsck", t.TempDir())
	failWith(t, exitNotFound, []string{"is no root"}, "fsck", filepath.Join(t.TempDir(), "none"))
	failWith(t, exitUsage, []string{"unknown scheme"}, "fsck", "gopher://bucket")
	failWith(t, exitUsage, []string{"it lives in the process"}, "fsck", "mem://bucket")
	failWith(t, exitIO, []string{"no such file"}, "fsck", "file://"+filepath.Join(t.TempDir(), "none"))
}

func TestFsckOfANewerRoot(t *testing.T) {
	root := exampleRoot(t)
	path := filepath.Join(root, "engine.json")
	if err := os.WriteFile(path, []byte(`{"format_version": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	failWith(t, exitIO, []string{"newer"}, "fsck", root)
}

// tieredRoot is a root of which segments are in the bucket too.
func tieredRoot(t *testing.T) (root, bucket string) {
	t.Helper()
	bucket = filepath.Join(t.TempDir(), "bucket")
	return tieredRootIn(t, bucket, 50), bucket
}

// tieredRootIn is a new root with so many records in a segment that is in a bucket
// too.
func tieredRootIn(t *testing.T, bucket string, count int) (root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "root")
	eng, err := engine.Open(root, engine.Options{Bucket: "file://" + bucket})
	if err != nil {
		t.Fatal(err)
	}
	log := appendTo(t, eng, "N", engine.LogOptions{}, numbered(count))
	if err := log.Seal(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := log.Wait(testContext(t), uint64(count), engine.Cold); err != nil {
		t.Fatal(err)
	}
	if err := eng.Close(); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestEachCopyIsCheckedAndWhatItsDamageCostsIsSaid(t *testing.T) {
	root, bucket := tieredRoot(t)
	for _, place := range []string{root, "file://" + bucket} {
		for _, deep := range []string{"--deep=false", "--deep"} {
			if text := succeed(t, "fsck", place, deep); !strings.Contains(text, "N: ok: 50 records (1 to 50) in 1 segment") || !strings.Contains(text, "1 cold") {
				t.Errorf("%s %s: %s", place, deep, text)
			}
		}
	}
	damage(t, root, "N", "number-20.")
	r := failWith(t, exitCorruption, []string{"1 finding;", "no record is lost"}, "fsck", root, "--json")
	for _, text := range []string{`"first_seq": 20`, `"cost": "repairable"`, `"repair_from": "warm"`, `"part": "hot"`} {
		if !strings.Contains(r.stdout, text) {
			t.Errorf("%s is not in %s", text, r.stdout)
		}
	}
	if err := os.RemoveAll(bucket); err != nil {
		t.Fatal(err)
	}
	r = failWith(t, exitCorruption, []string{"not checked: the objects in file://"}, "fsck", root)
	if !strings.Contains(r.stdout, "repairable from warm") || !strings.Contains(r.stdout, "Not checked: ") {
		t.Error(r.stdout)
	}
}

// The records count once however many copies hold them, and what the copies take
// is said of a bucket too.
func TestFsckSaysHowManyCopiesThereAreAndWhatTheyTake(t *testing.T) {
	root, bucket := tieredRoot(t)
	for _, c := range []struct{ place, deep, want string }{
		{root, "--deep=false", `^N: ok: 50 records \(1 to 50\) in 1 segment; copies: 1 hot \([1-9.]+ KiB\), 1 warm \([1-9][0-9.]* (K?i?)B\), 1 cold \([1-9][0-9.]* (K?i?)B\), the cold ones not read whole\n$`},
		{root, "--deep", `^N: ok: 50 records \(1 to 50\) in 1 segment; copies: 1 hot \([1-9.]+ KiB\), 1 warm \([1-9][0-9.]* (K?i?)B\), 1 cold \([1-9][0-9.]* (K?i?)B\)\n$`},
		{"file://" + bucket, "--deep=false", `^N: ok: 50 records \(1 to 50\) in 1 segment; copies: 1 cold \([1-9][0-9.]* (K?i?)B\), the cold ones not read whole\n$`},
		{"file://" + bucket, "--deep", `^N: ok: 50 records \(1 to 50\) in 1 segment; copies: 1 cold \([1-9][0-9.]* (K?i?)B\)\n$`},
	} {
		if text := succeed(t, "fsck", c.place, c.deep); !regexp.MustCompile(c.want).MatchString(text) {
			t.Errorf("%s %s: %q", c.place, c.deep, text)
		}
	}
}

func TestABucketThatIsGoneIsNoDamage(t *testing.T) {
	root, bucket := tieredRoot(t)
	if err := os.RemoveAll(bucket); err != nil {
		t.Fatal(err)
	}
	for _, deep := range []string{"--deep=false", "--deep"} {
		r := failWith(t, exitIO, []string{"not checked", "local files were checked", bucket}, "fsck", root, deep)
		if !strings.Contains(r.stdout, "N: ok: 50 records") {
			t.Error(r.stdout)
		}
	}
}
