package segment

import (
	"runtime/debug"
	"syscall"

	system "golang.org/x/sys/unix"
)

func open() {
	system.Mmap(0, 0, 0, system.PROT_READ, system.MAP_SHARED) // want "unix.Mmap is for internal/vfs and cshared only"
	syscall.Syscall(syscall.SYS_MMAP, 0, 0, 0)                // want "syscall.SYS_MMAP"
	debug.SetPanicOnFault(true)                               // want "SetPanicOnFault"
	debug.FreeOSMemory()
}
