package manifest

// This file pins the order of writes, syncs and renames: a sync that is missing
// shows as a difference.

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// traceOf runs steps on a fresh disk and prints what each does to it.
func traceOf(t *testing.T, steps []traceStep) []byte {
	t.Helper()
	disk := vfs.NewMem(1)
	must(t, disk.MkdirAll("log"))
	traced := vfs.NewTraced(disk, "log")
	var w *Writer
	var text bytes.Buffer
	for _, step := range steps {
		traced.Reset()
		if step.crash != nil {
			step.crash(disk)
			continue
		}
		if w == nil || w.closed {
			var err error
			w, err = Open(traced, testDir, testOptions())
			must(t, err)
			fmt.Fprintf(&text, "%s: open\n", step.name)
			printTrace(&text, traced)
		}
		must(t, step.run(w))
		fmt.Fprintf(&text, "%s\n", step.name)
		printTrace(&text, traced)
	}
	must(t, w.Close())
	checkNothingOpen(t, disk)
	return text.Bytes()
}

type traceStep struct {
	name  string
	run   func(*Writer) error
	crash func(*vfs.Mem)
}

func printTrace(text *bytes.Buffer, traced *vfs.Traced) {
	for _, line := range traced.Lines() {
		fmt.Fprintf(text, "  %s\n", line)
	}
	traced.Reset()
}

func appending(records ...Record) func(*Writer) error {
	return func(w *Writer) error {
		if _, err := w.Append(records...); err != nil {
			return err
		}
		return w.Commit()
	}
}

func snapshotting(w *Writer) error {
	_, err := w.WriteSnapshot(LogState{})
	return err
}

func TestOrderOfWritesAndSyncs(t *testing.T) {
	closing := func(w *Writer) error { return w.CloseLog(1, 640) }
	pruning := func(w *Writer) error {
		_, err := w.Prune(func(Prunable) bool { return true })
		return err
	}
	kill := func(w *Writer) error { return w.Close() }
	cases := map[string][]traceStep{
		"commit": {
			{name: "first commit", run: appending(opened(1))},
			{name: "commit of three records", run: appending(sealed(1), opened(2), sealed(2))},
			{name: "commit of nothing", run: (*Writer).Commit},
		},
		"rotate": {
			{name: "commit", run: appending(custom(60_000))},
			{name: "commit that does not fit", run: appending(custom(100), custom(6_000))},
			{name: "rotate", run: (*Writer).Rotate},
			{name: "rotate again", run: (*Writer).Rotate},
			{name: "commit", run: appending(opened(1))},
			{name: "commit of a record longer than a chunk", run: appending(custom(100_000))},
		},
		"snapshot": {
			{name: "commit", run: appending(opened(1))},
			{name: "snapshot", run: snapshotting},
			{name: "rotate", run: (*Writer).Rotate},
			{name: "snapshot", run: snapshotting},
			{name: "snapshot", run: snapshotting},
			{name: "prune", run: pruning},
			{name: "prune again", run: pruning},
		},
		"close": {
			{name: "close without a record", run: closing},
			{name: "commit", run: appending(opened(1))},
			{name: "close", run: closing},
			{name: "close after nothing", run: closing},
			{name: "commit behind the clean close", run: appending(sealed(1))},
			{name: "close without a mark", run: kill},
			{name: "close after a restart", run: closing},
		},
		"recover": {
			{name: "commit", run: appending(opened(1), custom(5_000))},
			{name: "killed", run: kill},
			{name: "append without a commit", run: func(w *Writer) error { _, err := w.Append(sealed(1)); return err }},
			{name: "killed again", run: kill},
			{name: "commit", run: appending(sealed(1))},
			{name: "killed", run: kill},
			{crash: func(disk *vfs.Mem) { plantTornTail(disk, 2) }},
			{name: "cut", run: (*Writer).Commit},
		},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) { compareGolden(t, "trace_"+name+".txt", traceOf(t, steps)) })
	}
}

// plantTornTail puts half a record behind what a chunk holds, as a write leaves
// that lost its last sectors.
func plantTornTail(disk *vfs.Mem, index uint64) {
	path := chunkPath(testDir, index)
	s, err := scanFile(disk, path)
	if err != nil {
		panic(err)
	}
	r := custom(2_000)
	r.Ordinal = s.next
	b, err := EncodeRecord(nil, &r)
	if err != nil {
		panic(err)
	}
	file, err := disk.OpenReadWrite(path)
	if err != nil {
		panic(err)
	}
	if err := writeAll(file, b[:900], int64(s.end)); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
}
