package command

import (
	"os"
	"path/filepath"
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

func withoutRoot(root, text string) string { return strings.ReplaceAll(text, root, "ROOT") }

func TestDamageIsReportedWithItsPlaceAndSequences(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	writeLog(t, root, "N", numbered(9))
	writeLog(t, root, "OTHER", numbered(3))
	damage(t, root, "N", "number-4.")
	damage(t, root, "N", "number-7.")
	for _, deep := range []string{"--deep=false", "--deep"} {
		r := failWith(t, exitCorruption, []string{"2 damaged ranges", "keep the files"}, "fsck", root, deep)
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
		if r.code != exitCorruption || !strings.Contains(r.stdout, "sequence 2 lost") || !strings.Contains(r.stdout, "2 records") {
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
	r := failWith(t, exitCorruption, []string{"log BROKEN"}, "fsck", root)
	if !strings.Contains(r.stdout, "BROKEN: DAMAGED") || !strings.Contains(r.stdout, "ORDERS: ok: 5 records") {
		t.Errorf("printed %q", r.stdout)
	}
}

func TestFsckOfNoRoot(t *testing.T) {
	failWith(t, exitNotFound, []string{"is no root"}, "fsck", t.TempDir())
	failWith(t, exitNotFound, []string{"is no root"}, "fsck", filepath.Join(t.TempDir(), "none"))
	failWith(t, exitUsage, []string{"name the directory"}, "fsck", "s3://bucket")
}

func TestFsckOfANewerRoot(t *testing.T) {
	root := exampleRoot(t)
	path := filepath.Join(root, "engine.json")
	if err := os.WriteFile(path, []byte(`{"format_version": 99}`), 0o644); err != nil {
		t.Fatal(err)
	}
	failWith(t, exitIO, []string{"newer"}, "fsck", root)
}
