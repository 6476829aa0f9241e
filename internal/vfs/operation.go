package vfs

import (
	"fmt"
	"strings"
)

// This file names what can be asked of a file system: the terms in which hooks,
// fault rules and traces speak.

// OperationKind is one kind of operation, or in a [Rule] a set of them joined
// with |.
type OperationKind uint32

// The kinds. Those of OpChanges are counted by [Mem.CrashAt].
const (
	OpCreate OperationKind = 1 << iota
	OpWrite
	OpTruncate
	OpAllocate
	OpSync
	OpSyncData
	OpSyncDir
	OpRename
	OpLink
	OpRemove
	OpMkdir
	OpLock
	OpOpen
	OpRead
	OpMap
	OpReadDir
	OpStat
	OpUsage

	// OpAnySync is every kind of sync.
	OpAnySync = OpSync | OpSyncData | OpSyncDir
	// OpChanges is everything that changes a disk.
	OpChanges = OpCreate | OpWrite | OpTruncate | OpAllocate | OpAnySync |
		OpRename | OpLink | OpRemove | OpMkdir
)

var operationNames = []string{
	"create", "write", "truncate", "allocate", "sync", "sync-data", "sync-dir",
	"rename", "link", "remove", "mkdir", "lock",
	"open", "read", "map", "read-dir", "stat", "usage",
}

// String names the kind as in a trace ("sync-data"), a set as names joined
// with |.
func (k OperationKind) String() string {
	var names []string
	for i, name := range operationNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// Operation is one call of a file system, as a hook or a rule sees it.
type Operation struct {
	Kind OperationKind
	// Path is the name that the file was opened by, or the name that was given.
	Path string
	// NewPath is the second name of a rename or link.
	NewPath string
	// Offset is where a read or write begins, in bytes.
	Offset int64
	// Length is the bytes of a read, write or map, and the new size of a
	// truncate or allocate.
	Length int64
}

// String is the operation's line in a trace, for example "write a/b 0+128".
func (o Operation) String() string {
	switch o.Kind {
	case OpRead, OpWrite:
		return fmt.Sprintf("%s %s %d+%d", o.Kind, o.Path, o.Offset, o.Length)
	case OpTruncate, OpAllocate, OpMap:
		return fmt.Sprintf("%s %s %d", o.Kind, o.Path, o.Length)
	case OpRename, OpLink:
		return fmt.Sprintf("%s %s -> %s", o.Kind, o.Path, o.NewPath)
	default:
		return o.Kind.String() + " " + o.Path
	}
}
