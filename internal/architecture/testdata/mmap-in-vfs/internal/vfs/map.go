package vfs

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

func open() {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	unix.Mmap(0, 0, 0, unix.PROT_READ, unix.MAP_SHARED)
}
