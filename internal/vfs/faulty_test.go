package vfs_test

import (
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestRulesDecideWhichOperationFails(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		rule      vfs.Rule
		fails     []int // of writes 0 to 5 to logs/a/segments/1.seg, then 2.seg in turn
	}{
		{"every write", vfs.Rule{Op: vfs.OpWrite}, []int{0, 1, 2, 3, 4, 5}},
		{"any operation", vfs.Rule{}, []int{0, 1, 2, 3, 4, 5}},
		{"one of several kinds", vfs.Rule{Op: vfs.OpSync | vfs.OpWrite}, []int{0, 1, 2, 3, 4, 5}},
		{"another kind", vfs.Rule{Op: vfs.OpSync}, nil},
		{"from the third on", vfs.Rule{After: 2}, []int{2, 3, 4, 5}},
		{"the second only", vfs.Rule{After: 1, Times: 1}, []int{1}},
		{"by base name", vfs.Rule{PathPattern: "1.seg"}, []int{0, 2, 4}},
		{"by pattern", vfs.Rule{PathPattern: "*.seg", Times: 3}, []int{0, 1, 2}},
		{"by the last elements", vfs.Rule{PathPattern: "segments/2.*"}, []int{1, 3, 5}},
		{"by the whole path", vfs.Rule{PathPattern: "/logs/a/segments/2.seg", After: 1}, []int{3, 5}},
		{"no such path", vfs.Rule{PathPattern: "manifest/*"}, nil},
		{"more elements than the path has", vfs.Rule{PathPattern: "*/*/*/*/*/*"}, nil},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			disk := vfs.NewMem(1)
			check(t, disk.MkdirAll("/logs/a/segments"))
			faulty := vfs.NewFaulty(disk)
			files := []vfs.File{
				create(t, faulty, "/logs/a/segments/1.seg"), create(t, faulty, "/logs/a/segments/2.seg"),
			}
			c.rule.Err = syscall.EIO
			rule := faulty.Add(c.rule)
			var fails []int
			for i := range 6 {
				if n, err := files[i%2].WriteAt([]byte("x"), int64(i)); err != nil {
					wantError(t, err, syscall.EIO)
					if n != 0 {
						t.Errorf("wrote %d", n)
					}
					fails = append(fails, i)
				}
			}
			if !slices.Equal(fails, c.fails) || rule.Applied() != len(c.fails) {
				t.Errorf("failed: %v, applied %d times", fails, rule.Applied())
			}
			rule.Remove()
			write(t, files[0], 0, []byte("x"))
		})
	}
}

func TestEveryKindOfOperationCanFail(t *testing.T) {
	disk := vfs.NewMem(1)
	faulty := vfs.NewFaulty(disk)
	file := create(t, faulty, "/a")
	p := make([]byte, 1)
	calls := map[vfs.OperationKind]func() error{
		vfs.OpCreate:   func() error { _, err := faulty.Create("/b"); return err },
		vfs.OpOpen:     func() error { _, err := faulty.Open("/a"); return err },
		vfs.OpRename:   func() error { return faulty.Rename("/a", "/b") },
		vfs.OpLink:     func() error { return faulty.Link("/a", "/b") },
		vfs.OpRemove:   func() error { return faulty.Remove("/a") },
		vfs.OpMkdir:    func() error { return faulty.MkdirAll("/d") },
		vfs.OpReadDir:  func() error { _, err := faulty.ReadDir("/"); return err },
		vfs.OpStat:     func() error { _, err := faulty.Stat("/a"); return err },
		vfs.OpSyncDir:  func() error { return faulty.SyncDir("/") },
		vfs.OpLock:     func() error { _, err := faulty.Lock("/a"); return err },
		vfs.OpUsage:    func() error { _, err := faulty.Usage("/"); return err },
		vfs.OpRead:     func() error { _, err := file.ReadAt(p, 0); return err },
		vfs.OpWrite:    func() error { _, err := file.WriteAt(p, 0); return err },
		vfs.OpTruncate: func() error { return file.Truncate(1) },
		vfs.OpAllocate: func() error { return file.Allocate(1, vfs.ZeroFilled) },
		vfs.OpSync:     func() error { return file.Sync() },
		vfs.OpSyncData: func() error { return file.SyncData() },
		vfs.OpMap:      func() error { _, err := file.Map(1); return err },
	}
	for kind, call := range calls {
		for _, doFirst := range []bool{false, true} {
			faulty.Clear()
			faulty.Add(vfs.Rule{Op: kind, Err: syscall.ENOSPC, DoFirst: doFirst})
			if err := call(); err == nil {
				t.Errorf("%v did not fail", kind)
			} else {
				wantError(t, err, syscall.ENOSPC)
			}
			if !doFirst && len(names(t, disk, "/")) != 1 {
				t.Fatalf("%v was done", kind)
			}
		}
		for _, name := range []string{"/b", "/d"} {
			_ = disk.Remove(name)
		}
		if again, err := disk.Create("/a"); err == nil { // renamed or removed
			check(t, again.Close())
		}
	}
	check(t, file.Close())
	checkNothingOpen(t, faulty)
}

func TestFailureMayComeAfterTheEffect(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem(1))
	check(t, create(t, faulty, "/a").Close())
	faulty.Add(vfs.Rule{Op: vfs.OpRename, PathPattern: "b", Err: syscall.EIO, DoFirst: true})
	wantError(t, faulty.Rename("/a", "/b"), syscall.EIO)
	if got := names(t, faulty, "/"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("got %v", got)
	}
}

func TestShortWriteLeavesItsFirstPart(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem(1))
	file := create(t, faulty, "/a")
	faulty.Add(vfs.Rule{Op: vfs.OpWrite, ShortWrite: 3, Times: 1})
	faulty.Add(vfs.Rule{Op: vfs.OpWrite, ShortWrite: 3, Err: syscall.ENOSPC, After: 1, Times: 1})
	for _, want := range []error{io.ErrShortWrite, syscall.ENOSPC} {
		n, err := file.WriteAt([]byte("12345"), 0)
		if n != 3 {
			t.Errorf("wrote %d", n)
		}
		wantError(t, err, want)
	}
	faulty.Add(vfs.Rule{Op: vfs.OpWrite, ShortWrite: 3})
	write(t, file, 3, []byte("abc")) // not longer: nothing to cut
	check(t, file.Close())
	if got := read(t, faulty, "/a"); got != "123abc" {
		t.Errorf("got %q", got)
	}
}

func TestDelaysAddUpAndBlockInTheGivenFunction(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem(1))
	file := create(t, faulty, "/a")
	started, release := make(chan time.Duration), make(chan struct{})
	faulty.SetWait(func(op vfs.Operation, delay time.Duration) {
		if op.Kind != vfs.OpSync || op.Path != "/a" {
			t.Errorf("delayed %v", op)
		}
		started <- delay
		<-release
	})
	faulty.Add(vfs.Rule{Op: vfs.OpAnySync, Delay: time.Second, Times: 1})
	faulty.Add(vfs.Rule{Op: vfs.OpSync, Delay: time.Minute, Err: syscall.EIO, Times: 1})
	var group sync.WaitGroup
	var ended atomic.Bool
	group.Go(func() {
		wantError(t, file.Sync(), syscall.EIO)
		ended.Store(true)
	})
	if delay := <-started; delay != time.Minute+time.Second {
		t.Errorf("waits %v", delay)
	}
	write(t, file, 0, []byte("others go on"))
	if ended.Load() {
		t.Error("did not wait")
	}
	close(release)
	group.Wait()
	check(t, file.Sync())
}

func TestADelayTakesItsTimeByDefault(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem(1))
	faulty.Add(vfs.Rule{Op: vfs.OpStat, Delay: time.Millisecond})
	before := time.Now()
	_, err := faulty.Stat("/")
	check(t, err)
	if took := time.Since(before); took < time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestRulesComeAndGoWhileOperationsRun(t *testing.T) {
	faulty := vfs.NewFaulty(vfs.NewMem(1))
	file := create(t, faulty, "/a")
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for range 200 {
				_, _ = file.WriteAt([]byte("x"), int64(i))
			}
		})
		group.Go(func() {
			for range 50 {
				rule := faulty.Add(vfs.Rule{Op: vfs.OpWrite, Err: syscall.EIO, Times: 3})
				_ = rule.Applied()
				rule.Remove()
				rule.Remove()
			}
		})
	}
	group.Wait()
	write(t, file, 0, []byte("x"))
}

func TestMalformedPatternIsRefused(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("accepted")
		}
	}()
	vfs.NewFaulty(vfs.NewMem(1)).Add(vfs.Rule{PathPattern: "[", Err: fs.ErrInvalid})
}
