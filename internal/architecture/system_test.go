package architecture

import (
	"go/token"
	"slices"
	"strings"
)

// names maps an import path to names in that package.
type names map[string][]string

func (n names) contain(importedPath, name string) bool {
	return slices.Contains(n[importedPath], name)
}

var mapCalls = []string{
	"Mmap", "MmapPtr", "Munmap", "MunmapPtr", "Mremap", "MremapPtr", "Madvise", "Msync", "Mprotect",
	"Mlock", "Munlock", "SYS_MMAP", "SYS_MUNMAP", "SYS_MREMAP", "SYS_MSYNC",
}

// memoryMaps are the ways to map memory, and to live through a fault of a map.
var memoryMaps = names{
	"syscall":               mapCalls,
	"golang.org/x/sys/unix": mapCalls,
	"runtime/debug":         {"SetPanicOnFault"},
}

// mapPackages map memory whatever is called of them.
var mapPackages = []string{"golang.org/x/exp/mmap", "github.com/edsrzf/mmap-go", "github.com/tysonmote/gommap"}

var fileCalls = []string{
	"Access", "Chmod", "Copy_file_range", "Creat", "Fallocate", "Fdatasync", "Flock", "Fstat", "Fsync", "Ftruncate", "Link", "Linkat",
	"Lstat", "Mkdir", "Mkdirat", "Open", "Openat", "Pread", "Pwrite", "Pwritev", "Rename", "Renameat", "Renameat2", "Rmdir",
	"Stat", "Statfs", "Symlink", "Sync", "SyncFileRange", "Syncfs", "Truncate", "Unlink", "Unlinkat", "Utimes",
}

// fileOperations are the ways to reach a file that pass by internal/vfs, and so
// by the simulated disk that the crash tests cut the power of.
var fileOperations = names{
	"os": {
		"Chmod", "Chown", "Chtimes", "CopyFS", "Create", "CreateTemp", "DirFS", "Lchown", "Link", "Lstat", "Mkdir", "MkdirAll", "MkdirTemp",
		"Open", "OpenFile", "OpenInRoot", "OpenRoot", "ReadDir", "ReadFile", "Readlink", "Remove", "RemoveAll", "Rename", "Stat",
		"Symlink", "Truncate", "WriteFile",
	},
	"io/ioutil":             {"ReadDir", "ReadFile", "TempDir", "TempFile", "WriteFile"},
	"path/filepath":         {"EvalSymlinks", "Glob", "Walk", "WalkDir"},
	"syscall":               fileCalls,
	"golang.org/x/sys/unix": fileCalls,
}

func checkMemoryMaps(source tree) []violation {
	dirs := []string{"internal/vfs", "cshared"}
	return append(checkConfined(mapPackages, dirs)(source), checkNames(source, memoryMaps, func(in *folder, _ *sourceFile) string {
		return unlessWithin(in, dirs)
	})...)
}

func checkFileOperations(source tree) []violation {
	return checkNames(source, fileOperations, func(in *folder, file *sourceFile) string {
		if file.isTest {
			return ""
		}
		return unlessWithin(in, []string{"internal/vfs", "cmd"})
	})
}

func checkSleeps(source tree) []violation {
	return checkNames(source, names{"time": {"Sleep"}}, func(_ *folder, file *sourceFile) string {
		if !file.isTest {
			return ""
		}
		return "not for tests: wait for a condition"
	})
}

func unlessWithin(in *folder, dirs []string) string {
	if in.within(dirs...) {
		return ""
	}
	return "for " + strings.Join(dirs, " and ") + " only"
}

// checkNames reports the forbidden names that a file mentions. objection says
// for whom they are, or nothing if the file may use them.
func checkNames(source tree, forbidden names, objection func(*folder, *sourceFile) string) []violation {
	var violations []violation
	source.files(func(in *folder, file *sourceFile) {
		why := objection(in, file)
		if why == "" {
			return
		}
		file.usesOf(func(importedPath, name string, at token.Pos) {
			if forbidden.contain(importedPath, name) {
				violations = append(violations, file.violationAt(at, "%s.%s is %s", importedPath, name, why))
			}
		})
	})
	return violations
}
