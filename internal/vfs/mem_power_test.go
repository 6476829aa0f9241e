package vfs_test

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// What may and what may not survive a power cut of the simulated disk. Each case
// runs with many seeds: what must hold holds in all, what may happen is seen in
// some.

const seeds = 300

// tally counts what was seen over all seeds.
type tally map[string]int

func (seen tally) want(t *testing.T, outcomes ...string) {
	t.Helper()
	for _, outcome := range outcomes {
		if seen[outcome] == 0 {
			t.Errorf("never seen: %s (seen: %v)", outcome, seen)
		}
		delete(seen, outcome)
	}
	for outcome, times := range seen {
		t.Errorf("must not happen: %s, %d times", outcome, times)
	}
}

// durableFile makes /a with synced content under a synced name.
func durableFile(t testing.TB, disk *vfs.Mem, content []byte) vfs.File {
	t.Helper()
	file := create(t, disk, "/a")
	write(t, file, 0, content)
	check(t, file.Sync())
	check(t, disk.SyncDir("/"))
	return file
}

func overSeeds(t *testing.T, history func(t *testing.T, disk *vfs.Mem, seen tally)) tally {
	t.Helper()
	seen := tally{}
	for seed := range uint64(seeds) {
		history(t, vfs.NewMem(seed), seen)
	}
	return seen
}

func TestSyncedFileSurvives(t *testing.T) {
	overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		content := filled('x', 100000)
		durableFile(t, disk, content)
		for range 3 {
			disk.PowerCut()
			if read(t, disk, "/a") != string(content) || !bytes.Equal(disk.Durable("/a"), content) {
				t.Fatal("synced content is lost")
			}
		}
	})
}

func TestUnsyncedNameMayBeLost(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := create(t, disk, "/a")
		write(t, file, 0, []byte("x"))
		check(t, file.Sync())
		disk.PowerCut()
		seen[strings.Join(names(t, disk, "/"), " ")]++
	})
	seen.want(t, "", "a")
}

func TestNameMayBeDurableWithoutItsContent(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := create(t, disk, "/a")
		write(t, file, 0, []byte("x"))
		check(t, disk.SyncDir("/"))
		disk.PowerCut()
		seen[read(t, disk, "/a")]++
	})
	seen.want(t, "", "\x00", "x")
}

func TestPagesAreLostOneByOneAndTornAtSectors(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, filled('o', 8*4096))
		write(t, file, 0, filled('n', 8*4096))
		disk.PowerCut()
		got := read(t, disk, "/a")
		pages := map[string]bool{}
		for at := 0; at < len(got); at += 512 {
			sector := got[at : at+512]
			if sector != strings.Repeat(sector[:1], 512) {
				t.Fatal("torn inside a sector")
			}
		}
		for at := 0; at < len(got); at += 4096 {
			switch page := got[at : at+4096]; {
			case !strings.Contains(page, "n"):
				pages["old"] = true
			case !strings.Contains(page, "o"):
				pages["new"] = true
			default:
				pages["torn"] = true
			}
		}
		for kind := range pages {
			seen[kind]++
		}
		if len(pages) > 1 {
			seen["mixed"]++
		}
	})
	seen.want(t, "old", "new", "torn", "mixed")
}

func TestSectorsAreTornInsideOnlyOnRequest(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		disk.TearInsideSectors(true)
		file := durableFile(t, disk, filled('o', 4096))
		write(t, file, 0, filled('n', 4096))
		disk.PowerCut()
		got := read(t, disk, "/a")
		for at := 0; at < len(got); at += 512 {
			kind := "whole"
			if sector := got[at : at+512]; sector != strings.Repeat(sector[:1], 512) {
				kind = "torn"
			}
			seen[kind]++
		}
	})
	seen.want(t, "whole", "torn")
}

func TestSizeAndPagesAreLostIndependently(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, filled('o', 4096))
		write(t, file, 0, filled('n', 8192))
		disk.PowerCut()
		got := read(t, disk, "/a")
		kind := "first page old"
		if got[0] == 'n' {
			kind = "first page new"
		}
		switch {
		case len(got) == 4096:
			seen[kind+", short"]++
		case len(got) == 8192 && strings.Trim(got[4096:], "\x00") == "":
			seen[kind+", long, second page lost"]++
		default:
			seen[kind+", long"]++
		}
	})
	seen.want(t, "first page old, short", "first page new, short", "first page old, long",
		"first page new, long", "first page old, long, second page lost", "first page new, long, second page lost")
}

func TestTruncationMayBeLostUntilSynced(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, []byte("0123456789"))
		check(t, file.Truncate(4))
		check(t, file.Truncate(6))
		disk.PowerCut()
		seen[read(t, disk, "/a")]++
	})
	seen.want(t, "0123456789", "0123\x00\x00", "0123")
}

func TestTruncatedBytesDoNotComeBackAfterASync(t *testing.T) {
	overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, filled('o', 9000))
		check(t, file.Truncate(100))
		check(t, file.Truncate(9000))
		write(t, file, 8000, []byte("n"))
		check(t, file.SyncData())
		disk.PowerCut()
		want := append(filled('o', 100), make([]byte, 8900)...)
		want[8000] = 'n'
		if read(t, disk, "/a") != string(want) {
			t.Fatal("old bytes came back")
		}
	})
}

func TestRenameInsideADirectoryIsAtomic(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		check(t, vfs.WriteFileAtomic(disk, "/old", []byte("1")))
		check(t, vfs.WriteFileAtomic(disk, "/target", []byte("2")))
		check(t, disk.Rename("/old", "/target"))
		disk.PowerCut()
		seen[strings.Join(names(t, disk, "/"), " ")+" "+read(t, disk, "/target")]++
	})
	seen.want(t, "old target 2", "target 1")
}

func TestRenameAcrossDirectoriesNeverLosesTheFile(t *testing.T) {
	history := func(synced ...string) tally {
		return overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
			check(t, vfs.MkdirAllSync(disk, "/from"))
			check(t, vfs.MkdirAllSync(disk, "/to"))
			check(t, vfs.WriteFileAtomic(disk, "/from/f", []byte("1")))
			check(t, disk.Rename("/from/f", "/to/f"))
			for _, dir := range synced {
				check(t, disk.SyncDir(dir))
			}
			disk.PowerCut()
			outcome := ""
			for _, dir := range []string{"/from", "/to"} {
				for _, name := range names(t, disk, dir) {
					outcome += dir + "/" + name + " " + read(t, disk, dir+"/"+name) + ";"
				}
			}
			seen[outcome]++
		})
	}
	history().want(t, "/from/f 1;", "/to/f 1;", "/from/f 1;/to/f 1;")
	history("/to").want(t, "/to/f 1;", "/from/f 1;/to/f 1;")
	history("/from").want(t, "/to/f 1;")
	history("/to", "/from").want(t, "/to/f 1;")
}

func TestUnlinkAndLinkMayBeLost(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		check(t, durableFile(t, disk, []byte("content")).Close())
		check(t, disk.Link("/a", "/b"))
		check(t, disk.Remove("/a"))
		disk.PowerCut()
		for _, name := range names(t, disk, "/") {
			if got := read(t, disk, name); got != "content" {
				t.Fatalf("%s is %q", name, got)
			}
		}
		seen[strings.Join(names(t, disk, "/"), " ")]++
	})
	// Two changes of one directory, kept independently: it may lose both names.
	seen.want(t, "a", "b", "a b", "")
}

func TestANameIsNotGivenToTwoFiles(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		check(t, durableFile(t, disk, []byte("old")).Close())
		check(t, disk.Remove("/a"))
		file := create(t, disk, "/a")
		write(t, file, 0, []byte("new"))
		check(t, file.Sync())
		disk.PowerCut()
		for _, name := range names(t, disk, "/") {
			seen[read(t, disk, name)]++
		}
	})
	seen.want(t, "old", "new")
}

func TestUnsyncedDirectoryTakesItsFilesAlong(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		check(t, disk.MkdirAll("/x/y"))
		check(t, vfs.WriteFileAtomic(disk, "/x/y/f", []byte("1")))
		disk.PowerCut()
		_, err := disk.Stat("/x/y/f")
		switch {
		case err == nil:
			seen["all"]++
		case len(names(t, disk, "/")) == 0:
			seen["nothing"]++
		default:
			seen["upper"]++
		}
	})
	seen.want(t, "all", "upper", "nothing")
}

func TestUnsyncedPagesMayBecomeDurableByThemselves(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, filled('o', 4096))
		for range 10 {
			write(t, file, 0, []byte("n"))
		}
		seen[string(disk.Durable("/a")[:1])]++
	})
	seen.want(t, "o", "n")
}

func TestHandlesDieAndLocksAreReleased(t *testing.T) {
	for name, crash := range map[string]func(*vfs.Mem){"power": (*vfs.Mem).PowerCut, "process": (*vfs.Mem).ProcessCrash} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem(1)
			file := durableFile(t, disk, []byte("synced"))
			mapping, err := file.Map(6)
			check(t, err)
			lock, err := disk.Lock("/LOCK")
			check(t, err)
			crash(disk)
			checkNothingOpen(t, disk)
			_, err = file.WriteAt([]byte("x"), 0)
			for _, err := range []error{err, file.Sync(), file.Close(), mapping.Close(), lock.Close()} {
				wantError(t, err, fs.ErrClosed)
			}
			again, err := disk.OpenReadWrite("/a")
			check(t, err)
			write(t, again, 0, []byte("later!"))
			if got := string(mapping.Bytes()); got != "synced" {
				t.Errorf("a map of the dead process shows %q", got)
			}
			lock, err = disk.Lock("/LOCK")
			check(t, err)
			check(t, lock.Close())
			check(t, again.Close())
			checkNothingOpen(t, disk)
		})
	}
}

func TestProcessCrashKeepsTheLiveImage(t *testing.T) {
	overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := create(t, disk, "/a")
		write(t, file, 0, filled('x', 10000))
		disk.ProcessCrash()
		if read(t, disk, "/a") != string(filled('x', 10000)) {
			t.Fatal("a process crash lost written bytes")
		}
	})
}

func TestWritesInOneSectorAreKeptInSomeState(t *testing.T) {
	// Every sector is afterwards what some moment since its last sync left.
	overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, make([]byte, 16*512))
		possible := make([][]byte, 16)
		for step := range 200 {
			sector := (step * 7) % 16
			write(t, file, int64(sector*512), filled(byte(step+1), 512))
			possible[sector] = append(possible[sector], byte(step+1))
			if step == 120 {
				check(t, file.SyncData())
				for i := range possible {
					possible[i] = possible[i][len(possible[i])-1:]
				}
			}
		}
		disk.PowerCut()
		got := []byte(read(t, disk, "/a"))
		for i := range 16 {
			sector := got[i*512 : (i+1)*512]
			if !slices.Contains(possible[i], sector[0]) || !bytes.Equal(sector, filled(sector[0], 512)) {
				t.Fatalf("sector %d is %d, possible are %v", i, sector[0], possible[i])
			}
		}
	})
}

func TestRewrittenFileIsNeverAMixtureWithItsOldSelf(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, filled('o', 3*4096))
		check(t, file.Truncate(0))
		for at := range int64(3) {
			write(t, file, at*4096, filled('n', 4096))
		}
		disk.PowerCut()
		got := read(t, disk, "/a")
		switch isOld, isNew := strings.Contains(got, "o"), strings.Contains(got, "n"); {
		case isOld && isNew:
			seen["mixture"]++
		case isOld:
			seen["old"]++
		case isNew:
			seen["new"]++
		default:
			seen["zeros"]++
		}
	})
	seen.want(t, "old", "new", "zeros")
}

func TestAFileThatShrankInAPowerCutGrowsWithZeros(t *testing.T) {
	overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		file := durableFile(t, disk, []byte("o"))
		write(t, file, 1, filled('n', 8191))
		disk.PowerCut()
		file, err := disk.OpenReadWrite("/a")
		check(t, err)
		size, err := file.Size()
		check(t, err)
		check(t, file.Truncate(8192))
		if size == 1 && strings.Trim(read(t, disk, "/a")[1:], "\x00") != "" {
			t.Fatal("lost bytes came back")
		}
	})
}

func TestAReusedNameDoesNotCostTheRenamedFile(t *testing.T) {
	seen := overSeeds(t, func(t *testing.T, disk *vfs.Mem, seen tally) {
		check(t, durableFile(t, disk, []byte("old")).Close())
		check(t, disk.Rename("/a", "/b"))
		check(t, create(t, disk, "/a").Close())
		disk.PowerCut()
		outcome := ""
		for _, name := range names(t, disk, "/") {
			outcome += name + "=" + read(t, disk, name) + " "
		}
		seen[outcome]++
	})
	seen.want(t, "a=old ", "b=old ", "a= b=old ")
}
