package vfs_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Random histories: the simulated disk against a real one, and against itself.

// history makes random calls on files "a" to "e" below root and returns what
// they answered.
func history(t *testing.T, fsys vfs.FS, root string, random *rand.Rand, steps int) []string {
	var answers []string
	note := func(format string, values ...any) {
		answers = append(answers, fmt.Sprintf(format, values...))
	}
	name := func() string { return filepath.Join(root, string(rune('a'+random.IntN(5)))) }
	for range steps {
		switch target := name(); random.IntN(10) {
		case 0:
			file, err := fsys.Create(target)
			note("create %v", err == nil)
			if err == nil {
				check(t, file.Close())
			}
		case 1:
			note("rename %v", fsys.Rename(target, name()) == nil)
		case 2:
			note("remove %v", fsys.Remove(target) == nil)
		case 3:
			note("link %v", fsys.Link(target, name()) == nil)
		case 4:
			note("sync directory %v", fsys.SyncDir(root) == nil)
		default:
			answers = append(answers, change(t, fsys, target, random)...)
		}
	}
	for i := range 5 {
		data, err := vfs.ReadFile(fsys, filepath.Join(root, string(rune('a'+i))), 1<<20)
		note("%v %q", err == nil, data)
	}
	return answers
}

// change makes random calls on one open file, with a map over it.
func change(t *testing.T, fsys vfs.FS, name string, random *rand.Rand) []string {
	file, err := fsys.OpenReadWrite(name)
	if err != nil {
		return []string{"not found"}
	}
	defer closeAll(t, file)
	const mapLength = 8192
	mapping, err := file.Map(mapLength)
	if err != nil {
		return []string{err.Error()}
	}
	defer closeAll(t, mapping)
	var answers []string
	for range 1 + random.IntN(5) {
		var err error
		switch random.IntN(6) {
		case 0:
			err = file.Truncate(int64(random.IntN(20000)))
		case 1:
			err = file.Allocate(int64(random.IntN(20000)), vfs.Allocation(random.IntN(2)))
		case 2:
			err = file.SyncData()
		default:
			data := filled(byte(1+random.IntN(255)), random.IntN(6000))
			_, err = file.WriteAt(data, int64(random.IntN(15000)))
		}
		content := make([]byte, 64<<10)
		n, _ := file.ReadAt(content, 0)
		sees := bytes.Equal(mapping.Bytes()[:min(n, mapLength)], content[:min(n, mapLength)])
		answers = append(answers, fmt.Sprint(err == nil, n, sees))
	}
	return answers
}

func TestSimulatedDiskAnswersLikeARealOne(t *testing.T) {
	for seed := range uint64(20) {
		root := t.TempDir()
		onDisk := history(t, vfs.OS(), root, rand.New(rand.NewPCG(seed, 0)), 100)
		disk := vfs.NewMem(seed)
		simulated := history(t, disk, "/", rand.New(rand.NewPCG(seed, 0)), 100)
		for i := range onDisk {
			if onDisk[i] != simulated[i] {
				t.Fatalf("seed %d: answer %d is %.200s, simulated %.200s", seed, i, onDisk[i], simulated[i])
			}
		}
		checkNothingOpen(t, disk)
	}
}

func TestEqualSeedsAreEqualDisks(t *testing.T) {
	run := func(seed uint64) (answers []string) {
		disk := vfs.NewMem(seed)
		for round := range uint64(5) {
			disk.FailSync(7)
			answers = append(answers, history(t, disk, "/", rand.New(rand.NewPCG(9, round)), 60)...)
			disk.PowerCut()
		}
		return answers
	}
	if !slices.Equal(run(1), run(1)) {
		t.Error("one seed, two histories")
	}
	if slices.Equal(run(1), run(2)) {
		t.Error("two seeds, one history")
	}
}

func TestWhatIsSyncedAtTheEndSurvivesAnyHistory(t *testing.T) {
	for seed := range uint64(100) {
		disk := vfs.NewMem(seed)
		random := rand.New(rand.NewPCG(seed, 1))
		var want [5][]byte
		for range 4 {
			history(t, disk, "/", random, 30)
			syncAll(t, disk)
			for i := range want {
				want[i] = disk.Live(string(rune('a' + i)))
			}
			disk.PowerCut()
			for i := range want {
				if got := disk.Live(string(rune('a' + i))); !bytes.Equal(got, want[i]) || (got == nil) != (want[i] == nil) {
					t.Fatalf("seed %d: file %c has %d bytes, had %d", seed, 'a'+i, len(got), len(want[i]))
				}
			}
		}
	}
}

func syncAll(t *testing.T, disk *vfs.Mem) {
	t.Helper()
	for _, name := range names(t, disk, "/") {
		file, err := disk.OpenReadWrite(name)
		check(t, err)
		check(t, file.SyncData())
		check(t, file.Close())
	}
	check(t, disk.SyncDir("/"))
}
