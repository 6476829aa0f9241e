package fileblob_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/internal/fileblob"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Writers that want the same key, on the real disk.

const (
	childVariable  = "AOF_FILEBLOB_TEST_CHILD"
	dirVariable    = "AOF_FILEBLOB_TEST_DIR"
	writerVariable = "AOF_FILEBLOB_TEST_WRITER"

	contestants = 4
	rounds      = 200
)

var childRoles = map[string]func() int{"contestant": contestant}

func roundKey(round int) string { return fmt.Sprintf("log/epochs/%020d", round) }

func TestOneOfManyWritersWins(t *testing.T) {
	dir := t.TempDir()
	for round := range rounds {
		start := make(chan struct{})
		results := make(chan string, contestants)
		var all sync.WaitGroup
		for writer := range contestants {
			all.Go(func() {
				bucket, err := fileblob.Open(vfs.OS(), dir, fileblob.Options{})
				if err != nil {
					results <- err.Error()
					return
				}
				<-start
				name := strconv.Itoa(writer)
				err = put(bucket, roundKey(round), name, true)
				switch {
				case err == nil:
					results <- name
				case gcerrors.Code(err) != gcerrors.FailedPrecondition:
					results <- err.Error()
				}
				if err := bucket.Close(); err != nil {
					results <- err.Error()
				}
			})
		}
		close(start)
		all.Wait()
		close(results)
		var winners []string
		for result := range results {
			winners = append(winners, result)
		}
		checkWinner(t, dir, round, winners)
	}
}

func checkWinner(t *testing.T, dir string, round int, winners []string) {
	t.Helper()
	if len(winners) != 1 {
		t.Fatalf("round %d: won by %q", round, winners)
	}
	bucket := open(t, vfs.OS(), dir, nil)
	content, err := get(bucket, roundKey(round))
	check(t, err)
	if content != winners[0] {
		t.Fatalf("round %d: %q won, the object is of %q", round, winners[0], content)
	}
	check(t, bucket.Close())
}

// TestOneOfManyProcessesWins has processes run through the same keys, all from
// the same moment on.
func TestOneOfManyProcessesWins(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	type process struct {
		command *exec.Cmd
		start   io.Closer
		output  *strings.Builder
	}
	var processes []process
	for writer := range contestants {
		command := exec.CommandContext(ctx, os.Args[0])
		command.Env = append(os.Environ(), childVariable+"=contestant", dirVariable+"="+dir, writerVariable+"="+strconv.Itoa(writer))
		output := &strings.Builder{}
		command.Stdout, command.Stderr = output, output
		start, err := command.StdinPipe()
		check(t, err)
		check(t, command.Start())
		processes = append(processes, process{command, start, output})
	}
	for _, p := range processes {
		check(t, p.start.Close())
	}
	winners := make([][]string, rounds)
	for writer, p := range processes {
		if err := p.command.Wait(); err != nil {
			t.Fatalf("writer %d: %v\n%s", writer, err, p.output)
		}
		for line := range strings.Lines(p.output.String()) {
			round, err := strconv.Atoi(strings.TrimSpace(line))
			check(t, err)
			winners[round] = append(winners[round], strconv.Itoa(writer))
		}
	}
	for round := range rounds {
		checkWinner(t, dir, round, winners[round])
	}
}

// contestant is one process: it waits for its input to end, and prints the
// rounds that it won.
func contestant() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bucket, err := fileblob.Open(vfs.OS(), os.Getenv(dirVariable), fileblob.Options{})
	if err != nil {
		return fail(err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return fail(err)
	}
	var won strings.Builder
	for round := range rounds {
		err := put(bucket, roundKey(round), os.Getenv(writerVariable), true)
		switch {
		case err == nil:
			fmt.Fprintln(&won, round)
		case gcerrors.Code(err) != gcerrors.FailedPrecondition:
			return fail(err)
		}
	}
	if err := bucket.Close(); err != nil {
		return fail(err)
	}
	if _, err := io.WriteString(os.Stdout, won.String()); err != nil {
		return fail(err)
	}
	return 0
}
