package vfs_test

import (
	"errors"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// mapped returns a real file of two pages of 'x' and its map.
func mapped(t testing.TB) (vfs.File, vfs.Mapping) {
	t.Helper()
	file := create(t, vfs.OS(), filepath.Join(t.TempDir(), "a"))
	write(t, file, 0, filled('x', 8192))
	mapping, err := file.Map(8192)
	check(t, err)
	t.Cleanup(func() {
		check(t, mapping.Close())
		check(t, file.Close())
	})
	return file, mapping
}

func TestGuardTurnsAFaultIntoAnError(t *testing.T) {
	file, mapping := mapped(t)
	check(t, file.Truncate(4096))
	for range 3 {
		var first, second byte
		err := vfs.Guard(func() {
			first = mapping.Bytes()[0]
			second = mapping.Bytes()[5000]
		})
		if !errors.Is(err, vfs.ErrFault) || !strings.Contains(err.Error(), "0x") {
			t.Fatalf("got %v", err)
		}
		if first != 'x' || second != 0 {
			t.Errorf("read %q and %q", first, second)
		}
	}
	check(t, file.Truncate(8192))
	got := byte(1)
	check(t, vfs.Guard(func() { got = mapping.Bytes()[5000] }))
	if got != 0 {
		t.Errorf("read %d", got)
	}
}

// absent hides from the compiler that it returns nil.
func absent() *[10]byte { return nil }

func TestGuardLeavesOtherPanicsAlone(t *testing.T) {
	for name, cause := range map[string]func(){
		"a value":        func() { panic("value") },
		"a nil pointer":  func() { pointer := absent(); pointer[3]++ },
		"a wrong index":  func() { empty := make([]byte, 1); empty[len(t.Name())] = 1 },
		"a crashed disk": func() { panic(vfs.Crashed{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			t.Errorf("Guard returned %v", vfs.Guard(cause))
		})
	}
}

func TestGuardRestoresTheSetting(t *testing.T) {
	file, mapping := mapped(t)
	check(t, file.Truncate(0))
	for _, before := range []bool{true, false} {
		debug.SetPanicOnFault(before)
		got := byte(1)
		err := vfs.Guard(func() {
			check(t, vfs.Guard(func() {}))
			got = mapping.Bytes()[0]
		})
		wantError(t, err, vfs.ErrFault)
		if got != 1 {
			t.Errorf("read %d", got)
		}
		if after := debug.SetPanicOnFault(false); after != before {
			t.Errorf("was %v, is %v", before, after)
		}
	}
}

func TestGuardDoesNotAllocate(t *testing.T) {
	_, mapping := mapped(t)
	sum := 0
	allocations := testing.AllocsPerRun(100, func() {
		data := mapping.Bytes()
		if err := vfs.Guard(func() { sum += int(data[17]) }); err != nil {
			t.Error(err)
		}
	})
	if allocations != 0 || sum == 0 {
		t.Errorf("%v allocations, sum %d", allocations, sum)
	}
}

func BenchmarkGuard(b *testing.B) {
	_, mapping := mapped(b)
	data := mapping.Bytes()
	sum := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := vfs.Guard(func() { sum += int(data[17]) }); err != nil {
			b.Fatal(err)
		}
	}
}
