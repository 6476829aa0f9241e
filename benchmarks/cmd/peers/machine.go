package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what a run took place on.
type machine struct {
	Date       string
	Processor  string
	Cores      int
	Kernel     string
	FileSystem string
	SyncTime   [2]time.Duration // fdatasync of 4 KiB, before and after
	Versions   []string
}

func describeMachine(o *options, fileSystem string) machine {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Processor: processor(), Cores: runtime.NumCPU(),
		FileSystem: fileSystem, Versions: []string{versionOf(o.natsServer, "--version"), runtime.Version()},
	}
	for _, b := range o.ours {
		m.Versions = append(m.Versions, versionOf(b.path, "version"))
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	return m
}

func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// versionOf is the first line of what a program says of itself.
func versionOf(program, argument string) string {
	output, err := exec.Command(program, argument).Output()
	if err != nil {
		return fmt.Sprintf("%s (%v)", program, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	return line
}

func (m *machine) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s; %d cores of %s; %s; %s, fdatasync of 4 KiB %d us before and %d us after; %s.\n", m.Date, m.Cores, m.Processor, m.Kernel,
		m.FileSystem, m.SyncTime[0].Microseconds(), m.SyncTime[1].Microseconds(), strings.Join(m.Versions, "; "))
}
