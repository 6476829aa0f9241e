package engine

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

type disk struct{}

func (disk) Open(string) {}

func touch(vfs disk) {
	vfs.Open("segment")
	os.Getpid()
	filepath.Join("a", "b")
	os.Open("segment")                                          // want "os.Open is for internal/vfs and cmd only"
	os.Create("segment")                                        // want "os.Create"
	os.OpenFile("segment", os.O_RDWR, 0)                        // want "os.OpenFile"
	os.Rename("a", "b")                                         // want "os.Rename"
	os.Remove("a")                                              // want "os.Remove"
	os.WriteFile("a", nil, 0)                                   // want "os.WriteFile"
	os.ReadFile("a")                                            // want "os.ReadFile"
	os.Mkdir("a", 0)                                            // want "os.Mkdir"
	os.MkdirAll("a", 0)                                         // want "os.MkdirAll"
	unix.Fdatasync(0)                                           // want "unix.Fdatasync"
	filepath.WalkDir("a", nil)                                  // want "path/filepath.WalkDir"
	for _, remove := range []func(string) error{os.RemoveAll} { // want "os.RemoveAll"
		remove("a")
	}
}
