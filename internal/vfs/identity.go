package vfs

import (
	"io/fs"
	"syscall"
)

// This file tells files apart whatever they are called.

// Identity is the number of the file that info describes: the same under each
// of its names, and different from that of every other file that exists in the
// file system at the same time. A number is free again once its file is gone.
// It is 0 for an info that does not come from a file system of this package.
func Identity(info fs.FileInfo) uint64 {
	if simulated, ok := info.(memInfo); ok {
		return simulated.number
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}
