package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aof-nats/aof-nats/benchmarks/internal/load"
	"github.com/aof-nats/aof-nats/benchmarks/internal/peer"
)

const (
	payloadBytes   = 128
	inFlight       = 4096
	waiters        = 64
	busyLogs       = 100
	warmupShare    = 8 // of the messages, before the clock starts
	asyncMessages  = 600_000
	waitedMessages = 150_000
	alwaysAsync    = 16_000
	alwaysWaited   = 10_000
)

// comparison is one bar: contenders that do the same work.
type comparison struct {
	ID         string
	Title      string
	contenders []contender
	bars       []bar
}

// contender is a server with the work that it gets.
type contender struct {
	name   string
	server peer.Server
	logs   []peer.Log
	job    load.Job
}

// bar compares a contender with another of the same comparison, by name.
type bar struct {
	subject, reference string
	metric             metric
	atLeast, atMost    float64 // 0: no such bound
}

// metric is a figure of a turn.
type metric string

const (
	acksPerSecond metric = "acks/s"
	p99           metric = "p99"
)

// comparisons lists what is compared.
func comparisons(o *options) (wanted []comparison) {
	for _, c := range []comparison{asyncComparison(o), waitingComparison(o), busyComparison(o)} {
		if c.keep(o.contenders); o.wants(c.ID) && len(c.contenders) > 0 {
			wanted = append(wanted, c)
		}
	}
	return wanted
}

// keep drops the contenders whose names do not match, and their bars.
func (c *comparison) keep(names *regexp.Regexp) {
	c.contenders = slices.DeleteFunc(c.contenders, func(c contender) bool { return !names.MatchString(c.name) })
	c.bars = slices.DeleteFunc(c.bars, func(b bar) bool {
		return !names.MatchString(b.subject) || !names.MatchString(b.reference)
	})
}

func (o *options) wants(id string) bool {
	for only := range strings.SplitSeq(o.only, ",") {
		if o.only == "" || strings.EqualFold(only, id) {
			return true
		}
	}
	return false
}

// scaled is how many messages a turn takes: a multiple of the waiters.
func (o *options) scaled(messages int) int {
	return max(waiters, int(float64(messages)*o.scale)/waiters*waiters)
}

func (o *options) asyncJob(messages int, logs int) load.Job {
	n := o.scaled(messages)
	return load.Job{
		Kind: load.Async, Subjects: subjects(logs), PayloadBytes: payloadBytes,
		Messages: n, Warmup: n / warmupShare, InFlight: inFlight,
	}
}

func (o *options) waitingJob(messages int) load.Job {
	n := o.scaled(messages)
	job := load.Job{
		Kind: load.Waiting, PayloadBytes: payloadBytes,
		Messages: n, Warmup: n / warmupShare, Publishers: waiters,
	}
	for i := range waiters {
		job.Subjects = append(job.Subjects, fmt.Sprintf("bench.0.%d", i))
	}
	return job
}

func logs(n int) (list []peer.Log) {
	for i := range n {
		list = append(list, peer.Log{Name: fmt.Sprintf("BENCH%d", i), Subjects: fmt.Sprintf("bench.%d.>", i)})
	}
	return list
}

func subjects(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("bench.%d.event", i))
	}
	return list
}

const (
	jetStreamDefault = "JetStream, default (unsynced)"
	jetStreamAlways  = "JetStream, sync_interval: always"
	plainBridge      = "the same engine behind nats.go, durable"
	storesNothing    = "a responder that stores nothing"
)

// beside puts every build beside JetStream with the same work; always gets less
// of it, for it is slow.
func (o *options) beside(job, alwaysJob load.Job) (list []contender) {
	for _, b := range o.ours {
		list = append(list, contender{name: b.name, server: peer.AOFNATS{Program: b.path}, logs: logs(1), job: job})
	}
	return append(list,
		contender{name: plainBridge, server: peer.Plain{Verb: plainVerb}, logs: logs(1), job: job},
		contender{name: storesNothing, server: peer.Responder{Verb: respondVerb}, logs: logs(1), job: job},
		contender{name: jetStreamDefault, server: peer.JetStream{Program: o.natsServer}, logs: logs(1), job: job},
		contender{name: jetStreamAlways, server: peer.JetStream{Program: o.natsServer, SyncAlways: true}, logs: logs(1), job: alwaysJob})
}

func asyncComparison(o *options) comparison {
	c := comparison{
		ID: "P1", Title: "one publisher, PublishAsync, 4,096 in flight, 128 B; acks of aof-nats are durable",
		contenders: o.beside(o.asyncJob(asyncMessages, 1), o.asyncJob(alwaysAsync, 1)),
	}
	for _, b := range o.ours {
		c.bars = append(c.bars,
			bar{subject: b.name, reference: jetStreamDefault, metric: acksPerSecond, atLeast: 1.5},
			bar{subject: b.name, reference: jetStreamAlways, metric: acksPerSecond, atLeast: 50})
	}
	return c
}

func waitingComparison(o *options) comparison {
	c := comparison{
		ID: "P3", Title: "64 publishers, a connection each, each waiting for its ack, 128 B",
		contenders: o.beside(o.waitingJob(waitedMessages), o.waitingJob(alwaysWaited)),
	}
	for _, b := range o.ours {
		c.bars = append(c.bars,
			bar{subject: b.name, reference: jetStreamDefault, metric: acksPerSecond, atLeast: 0.8},
			bar{subject: b.name, reference: jetStreamDefault, metric: p99, atMost: 1.5},
			bar{subject: b.name, reference: jetStreamAlways, metric: acksPerSecond, atLeast: 8})
	}
	return c
}

func busyComparison(o *options) comparison {
	c := comparison{ID: "P17", Title: "100 busy logs together, one publisher, PublishAsync, 4,096 in flight, 128 B"}
	for _, b := range o.ours {
		one, many := b.name+", 1 log", b.name+", 100 logs"
		server := peer.AOFNATS{Program: b.path}
		c.contenders = append(c.contenders,
			contender{name: one, server: server, logs: logs(1), job: o.asyncJob(asyncMessages, 1)},
			contender{name: many, server: server, logs: logs(busyLogs), job: o.asyncJob(asyncMessages, busyLogs)})
		c.bars = append(c.bars, bar{subject: many, reference: one, metric: acksPerSecond, atLeast: 0.5})
	}
	c.contenders = append(c.contenders, contender{
		name: "JetStream, default (unsynced), 100 streams", server: peer.JetStream{Program: o.natsServer},
		logs: logs(busyLogs), job: o.asyncJob(asyncMessages, busyLogs),
	})
	return c
}
