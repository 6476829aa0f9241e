package wal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

const (
	payloadBytes  = 128
	recordsASync  = 64
	singleRecords = 4_000
	batchRecords  = 128_000
	unsyncedCount = 400_000
)

// Job says which contender is to append where.
type Job struct {
	Contender string
	Dir       string // made, and removed afterwards
	Scale     float64
}

// Result is how long a contender took.
type Result struct {
	Contender string
	Records   int
	Elapsed   time.Duration
}

// MicrosecondsARecord is the time of a record.
func (r *Result) MicrosecondsARecord() float64 {
	return float64(r.Elapsed.Nanoseconds()) / 1e3 / float64(r.Records)
}

// appender is a log under test.
type appender interface {
	// append stores a run of equal records and returns when they are as safe
	// as the contender's name says.
	append(payload []byte, records int) error
	close() error
}

// contender is a log and how much is asked of it at a time.
type contender struct {
	open    func(dir string) (appender, error)
	records int
	atOnce  int
}

var contenders = map[string]contender{
	"aof-nats engine, 1 record a sync":            {openEngine, singleRecords, 1},
	"hashicorp/raft-wal, 1 record a sync":         {openRaftWAL, singleRecords, 1},
	"tidwall/wal, 1 record a sync":                {openTidwall, singleRecords, 1},
	"aof-nats engine, 64 records a sync":          {openEngine, batchRecords, recordsASync},
	"hashicorp/raft-wal, 64 records a sync":       {openRaftWAL, batchRecords, recordsASync},
	"tidwall/wal, 64 records a sync":              {openTidwall, batchRecords, recordsASync},
	"aof-nats engine, up to the write, no sync":   {openEngineUnsynced, unsyncedCount, 1},
	"tidwall/wal, up to the write, no sync":       {openTidwallUnsynced, unsyncedCount, 1},
	"aof-nats engine, 64 at a time, no sync":      {openEngineUnsynced, unsyncedCount, recordsASync},
	"tidwall/wal, batches of 64 records, no sync": {openTidwallUnsynced, unsyncedCount, recordsASync},
}

// Contenders are the names, those that do the same work beside each other.
var Contenders = []string{
	"aof-nats engine, 1 record a sync", "hashicorp/raft-wal, 1 record a sync", "tidwall/wal, 1 record a sync",
	"aof-nats engine, 64 records a sync", "hashicorp/raft-wal, 64 records a sync", "tidwall/wal, 64 records a sync",
	"aof-nats engine, up to the write, no sync", "tidwall/wal, up to the write, no sync",
	"aof-nats engine, 64 at a time, no sync", "tidwall/wal, batches of 64 records, no sync",
}

// Serve reads a job, does it and writes the result.
func Serve(in io.Reader, out io.Writer) error {
	var job Job
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	result, err := job.run()
	if err != nil {
		return fmt.Errorf("append to %s: %w", job.Contender, err)
	}
	return json.NewEncoder(out).Encode(result)
}

func (job *Job) run() (result *Result, err error) {
	c, known := contenders[job.Contender]
	if !known {
		return nil, errors.New("no such contender")
	}
	if err := os.MkdirAll(job.Dir, 0o755); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(job.Dir)) }()
	log, err := c.open(job.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.close()) }()
	payload := make([]byte, payloadBytes)
	records := max(c.atOnce, int(float64(c.records)*job.Scale)/c.atOnce*c.atOnce)
	if err := appendAll(log, payload, records/8/c.atOnce*c.atOnce, c.atOnce); err != nil {
		return nil, err
	}
	began := time.Now()
	err = appendAll(log, payload, records, c.atOnce)
	return &Result{Contender: job.Contender, Records: records, Elapsed: time.Since(began)}, err
}

func appendAll(log appender, payload []byte, records, atOnce int) error {
	for done := 0; done < records; done += atOnce {
		if err := log.append(payload, atOnce); err != nil {
			return err
		}
	}
	return nil
}

// WriteTable writes the medians as a Markdown table.
func WriteTable(w io.Writer, results []Result) {
	fmt.Fprintf(w, "\n### Embedded logs: one goroutine, 128 B, in process\n\n| log | us a record |\n| --- | --- |\n")
	for _, name := range Contenders {
		var times []float64
		for i := range results {
			if results[i].Contender == name {
				times = append(times, results[i].MicrosecondsARecord())
			}
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		fmt.Fprintf(w, "| %s | %.2f (%.2f to %.2f) |\n", name, times[len(times)/2], times[0], times[len(times)-1])
	}
}
