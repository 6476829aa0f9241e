package vfs

// This file lets tests prove that nothing was left open.

type handleCounter interface {
	OpenFiles() int
	OpenMaps() int
}

// OpenHandles counts the open files (held locks included) and the open maps
// that were made through a file system of this package, or through what it
// wraps. It returns -1, -1 for a file system that does not count.
func OpenHandles(fsys FS) (files, maps int) {
	counter, ok := fsys.(handleCounter)
	if !ok {
		return -1, -1
	}
	return counter.OpenFiles(), counter.OpenMaps()
}
