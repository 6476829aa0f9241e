package vfs

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// This file makes reads through maps safe: the one place where a memory fault
// becomes an error.

// Guard runs read, which may touch the bytes of a Mapping, and returns an error
// that matches ErrFault if one of these accesses faulted: read was left at that
// point and what it produced must not be used. Any other panic goes on. Only
// faults on the calling goroutine are caught. Guard allocates nothing unless
// read faults, and read may stay on the caller's stack.
func Guard(read func()) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if cause := recover(); cause != nil {
			err = faultError(cause)
		}
	}()
	read()
	return nil
}

// faultError is the error for a recovered memory fault; it panics again with
// anything else.
func faultError(cause any) error {
	if runtimeError, ok := cause.(runtime.Error); ok {
		// The runtime names an address only for a fault of memory that is not
		// its own, so a nil dereference does not get here.
		if fault, ok := runtimeError.(interface{ Addr() uintptr }); ok {
			return fmt.Errorf("%w (address %#x)", ErrFault, fault.Addr())
		}
	}
	panic(cause)
}
