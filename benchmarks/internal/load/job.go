package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"
)

// Kind is how a job publishes.
type Kind string

const (
	// Async is one connection and one PublishAsync after the other, with at most
	// Job.InFlight without an ack.
	Async Kind = "async"
	// Waiting is Job.Publishers connections, each of which waits for the ack of
	// one message before it publishes the next.
	Waiting Kind = "waiting"
)

// Job says what a publisher process is to do. It is read as JSON.
type Job struct {
	Kind         Kind
	URL          string
	Subjects     []string // taken in turn
	PayloadBytes int
	Messages     int // measured
	Warmup       int // published before the clock starts
	InFlight     int // of Async
	Publishers   int // of Waiting
}

// Result is what a publisher process saw. It is written as JSON.
type Result struct {
	Messages int
	Elapsed  time.Duration
	// P50 and P99 are of the time from a publish to its ack: of all messages of
	// Waiting, of every 128th of Async, whose messages also wait in a queue of
	// their own process.
	P50, P99 time.Duration
	// CPU is what the publisher's process used in all, user and system.
	CPU time.Duration
}

// Rate is acks a second.
func (r *Result) Rate() float64 { return float64(r.Messages) / r.Elapsed.Seconds() }

// Serve reads a job, does it and writes the result. Any message that is not
// acknowledged is an error.
func Serve(in io.Reader, out io.Writer) error {
	var job Job
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	result, err := job.run()
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return fmt.Errorf("read processor time: %w", err)
	}
	result.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return json.NewEncoder(out).Encode(result)
}

func (job *Job) run() (*Result, error) {
	if len(job.Subjects) == 0 || job.Messages < 1 {
		return nil, errors.New("the job names no subject or no messages")
	}
	switch job.Kind {
	case Async:
		return job.async()
	case Waiting:
		return job.waiting()
	}
	return nil, fmt.Errorf("unknown kind %q", job.Kind)
}

func (job *Job) subject(i int) string { return job.Subjects[i%len(job.Subjects)] }

func (r *Result) setLatencies(all []time.Duration) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
}
