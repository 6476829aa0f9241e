// Command peers measures aof-nats beside other systems in one run: real servers
// and an unmodified publisher, each in a process of its own, taking turns.
//
//	make bench-peers PEERS_FLAGS='--rounds 5 --only P1,P3'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"

	"github.com/aof-nats/aof-nats/benchmarks/internal/load"
	"github.com/aof-nats/aof-nats/benchmarks/internal/plain"
	"github.com/aof-nats/aof-nats/benchmarks/internal/wal"
)

// The verbs with which this program runs itself in another process.
const (
	publishVerb = "publish"
	walVerb     = "wal"
	plainVerb   = "plain-bridge"
	respondVerb = "respond"
)

// options are the flags.
type options struct {
	ours       builds
	natsServer string
	dir        string
	rounds     int
	scale      float64
	only       string
	contenders *regexp.Regexp
	json       bool
	document   string
}

// build is one binary of aof-nats.
type build struct{ name, path string }

// builds is a repeatable flag, so that two builds can be compared with each
// other.
type builds []build

func (b *builds) String() string { return fmt.Sprint(*b) }

func (b *builds) Set(text string) error {
	name, path, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("write NAME=PATH")
	}
	*b = append(*b, build{name, path})
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case publishVerb:
			return load.Serve(os.Stdin, os.Stdout)
		case walVerb:
			return wal.Serve(os.Stdin, os.Stdout)
		case plainVerb:
			if len(os.Args) != 5 {
				return errors.New("plain-bridge takes a directory, a log and its subjects")
			}
			return plain.Serve(os.Stdout, os.Args[2], os.Args[3], os.Args[4])
		case respondVerb:
			if len(os.Args) != 4 {
				return errors.New("respond takes a log and its subjects")
			}
			return plain.Respond(os.Stdout, os.Args[2], os.Args[3])
		}
	}
	o, err := parseOptions()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.writeTo(os.Stdout)
	}
	if err == nil && o.document != "" {
		err = report.replaceIn(o.document)
	}
	return err
}

func parseOptions() (*options, error) {
	o := &options{}
	flag.Var(&o.ours, "aof-nats", "a build of aof-nats as NAME=PATH; repeat to compare builds (default aof-nats=../bin/aof-nats)")
	flag.StringVar(&o.natsServer, "nats-server", "../build/nats-server", "path of nats-server")
	flag.StringVar(&o.dir, "dir", "../build", "where the servers keep their files: a directory on a disk")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each contender has its turn")
	flag.Float64Var(&o.scale, "scale", 1, "factor of how many messages each turn takes")
	flag.StringVar(&o.only, "only", "", "which comparisons, by id: P1,P3,P17,WAL (default all)")
	contenders := flag.String("contenders", "", "which contenders, a regular expression")
	flag.BoolVar(&o.json, "json", false, "print all that was measured as JSON")
	flag.StringVar(&o.document, "write", "", "put the table into this Markdown file, between its marks")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.scale <= 0 {
		flag.Usage()
		return nil, errors.New("wrong flags")
	}
	var err error
	if o.contenders, err = regexp.Compile(*contenders); err != nil {
		return nil, err
	}
	if len(o.ours) == 0 {
		o.ours = builds{{"aof-nats", "../bin/aof-nats"}}
	}
	return o, nil
}
