package vfs_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

func BenchmarkMemWrite(b *testing.B) {
	for _, size := range []int64{8 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("file of %d KiB", size>>10), func(b *testing.B) {
			file := create(b, vfs.NewMem(1), "/a")
			check(b, file.Allocate(size, vfs.ZeroFilled))
			check(b, file.Sync())
			data := make([]byte, 128)
			at := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				write(b, file, at, data)
				at = (at + 128) % size
			}
		})
	}
}

func BenchmarkMemWriteAndSync(b *testing.B) {
	const size = 1 << 20
	file := create(b, vfs.NewMem(1), "/a")
	check(b, file.Allocate(size, vfs.ZeroFilled))
	data := make([]byte, 128)
	at := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		write(b, file, at, data)
		check(b, file.SyncData())
		at = (at + 128) % size
	}
}

func BenchmarkMemPowerCut(b *testing.B) {
	disk := vfs.NewMem(1)
	for i := range 4 {
		file := create(b, disk, fmt.Sprintf("/%d", i))
		check(b, file.Allocate(64<<10, vfs.ZeroFilled))
		check(b, file.Sync())
	}
	check(b, disk.SyncDir("/"))
	b.ReportAllocs()
	for b.Loop() {
		disk.PowerCut()
	}
}

func BenchmarkMemCreateRenameRemove(b *testing.B) {
	disk := vfs.NewMem(1)
	check(b, disk.MkdirAll("/logs/a/segments"))
	b.ReportAllocs()
	for b.Loop() {
		check(b, create(b, disk, "/logs/a/segments/next.tmp").Close())
		check(b, disk.Rename("/logs/a/segments/next.tmp", "/logs/a/segments/1"))
		check(b, disk.SyncDir("/logs/a/segments"))
		check(b, disk.Remove("/logs/a/segments/1"))
	}
}

func BenchmarkOSWriteAndSync(b *testing.B) {
	for _, how := range []struct {
		name       string
		allocation vfs.Allocation
	}{{"zero-filled", vfs.ZeroFilled}, {"reserved", vfs.Reserved}} {
		b.Run(how.name, func(b *testing.B) {
			const size = 16 << 20
			file := create(b, vfs.OS(), filepath.Join(b.TempDir(), "a"))
			defer closeAll(b, file)
			check(b, file.Allocate(size, how.allocation))
			check(b, file.Sync())
			data := make([]byte, 4096)
			at := int64(0)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				write(b, file, at, data)
				check(b, file.SyncData())
				at = (at + 4096) % size
			}
		})
	}
}

func BenchmarkOSWriteThroughFaulty(b *testing.B) {
	file := create(b, vfs.NewFaulty(vfs.OS()), filepath.Join(b.TempDir(), "a"))
	defer closeAll(b, file)
	data := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		write(b, file, 0, data)
	}
}
