package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/aof-nats/aof-nats/benchmarks/internal/disk"
	"github.com/aof-nats/aof-nats/benchmarks/internal/load"
	"github.com/aof-nats/aof-nats/benchmarks/internal/wal"
)

// turn is what one contender did in one round.
type turn struct {
	Contender string
	Round     int
	Result    load.Result
	ServerCPU time.Duration // user and system, start and warm-up included
}

// measure runs all comparisons, one turn at a time.
func measure(ctx context.Context, o *options) (*report, error) {
	fileSystem, err := disk.FileSystem(o.dir)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "peers-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &report{Machine: describeMachine(o, fileSystem), Rounds: o.rounds}
	before, err := disk.SyncTime(dir)
	if err != nil {
		return nil, err
	}
	for _, c := range comparisons(o) {
		turns, err := runRounds(ctx, o, &c, dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.ID, err)
		}
		r.Comparisons = append(r.Comparisons, summarise(&c, turns))
	}
	if o.wants("WAL") {
		if r.WAL, err = runWAL(ctx, o, dir); err != nil {
			return nil, fmt.Errorf("WAL: %w", err)
		}
	}
	after, err := disk.SyncTime(dir)
	r.Machine.SyncTime = [2]time.Duration{before, after}
	return r, err
}

// runRounds lets the contenders take turns; every other round goes backwards,
// so that none always follows the same other.
func runRounds(ctx context.Context, o *options, c *comparison, dir string) ([]turn, error) {
	var turns []turn
	for round := range o.rounds {
		order := slices.Clone(c.contenders)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for i := range order {
			t, err := order[i].take(ctx, dir)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", order[i].name, err)
			}
			t.Round = round
			turns = append(turns, *t)
			fmt.Fprintf(os.Stderr, "%s round %d: %-46s %8.0f acks/s  p50 %s  p99 %s  server %.2f us/message\n", c.ID, round+1, t.Contender,
				t.Result.Rate(), t.Result.P50.Round(time.Microsecond), t.Result.P99.Round(time.Microsecond), perMessage(t.ServerCPU, &order[i].job))
		}
	}
	return turns, nil
}

// perMessage is a processor time in microseconds a message.
func perMessage(cpu time.Duration, job *load.Job) float64 {
	return float64(cpu.Microseconds()) / float64(job.Messages+job.Warmup)
}

// take starts the contender's server, has a publisher work and stops it.
func (c *contender) take(ctx context.Context, dir string) (*turn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	own, err := os.MkdirTemp(dir, "server-")
	if err != nil {
		return nil, err
	}
	disk.Settle()
	server, err := c.server.Start(own, c.logs)
	if err != nil {
		return nil, err
	}
	job := c.job
	job.URL = server.URL
	t := &turn{Contender: c.name}
	err = inOwnProcess(ctx, publishVerb, job, &t.Result)
	if err := errors.Join(err, server.Stop()); err != nil {
		return nil, err
	}
	t.ServerCPU = server.CPU()
	return t, nil
}

// inOwnProcess runs this program with a verb, a request and a result.
func inOwnProcess(ctx context.Context, verb string, request, result any) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	input, err := json.Marshal(request)
	if err != nil {
		return err
	}
	var output bytes.Buffer
	command := exec.CommandContext(ctx, self, verb)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &output, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return json.Unmarshal(output.Bytes(), result)
}

func runWAL(ctx context.Context, o *options, dir string) ([]wal.Result, error) {
	var results []wal.Result
	for round := range o.rounds {
		order := slices.Clone(wal.Contenders)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, contender := range order {
			disk.Settle()
			job := wal.Job{Contender: contender, Dir: filepath.Join(dir, "wal"), Scale: o.scale}
			var result wal.Result
			if err := inOwnProcess(ctx, walVerb, job, &result); err != nil {
				return nil, err
			}
			results = append(results, result)
			fmt.Fprintf(os.Stderr, "WAL round %d: %-40s %.2f us a record\n", round+1, contender, result.MicrosecondsARecord())
		}
	}
	return results, nil
}
