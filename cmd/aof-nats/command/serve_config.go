package command

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
)

// serveConfig is checked: nothing on disk was looked at yet.
type serveConfig struct {
	root         string
	http         string
	profiles     bool
	engine       engine.Options
	bridge       bridge.Options
	drainTimeout time.Duration
	logLevel     slog.Level
}

// config checks the flags, so that a wrong call changes nothing on disk.
func (f *serveFlags) config(getenv func(string) string) (*serveConfig, error) {
	c := &serveConfig{root: f.root, http: f.http, profiles: f.profiles, drainTimeout: f.drainTimeout}
	switch {
	case f.root == "":
		return nil, usagef("--root is missing: name the directory of the logs")
	case len(f.logs) == 0:
		return nil, usagef("--log is missing: name at least one log and its subjects, as --log ORDERS='orders.>'")
	case f.profiles && f.http == "":
		return nil, usagef("--pprof needs an address: leave --http as it is or name one")
	case f.drainTimeout <= 0:
		return nil, usagef("--drain-timeout is not positive")
	}
	if err := c.logLevel.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, usagef("--log-level %q: use debug, info, warn or error", f.logLevel)
	}
	if err := checkAddress("--listen", f.listen); err != nil {
		return nil, err
	}
	if f.http != "" {
		if err := checkAddress("--http", f.http); err != nil {
			return nil, err
		}
	}
	c.engine.HotBytesMax, c.engine.WarmBytesMax, c.engine.Bucket = int64(f.hotBytes), int64(f.warmBytes), f.bucket
	c.engine.ProbeBucket, c.engine.Owner = true, ownerOf(f.root)
	if err := engine.CheckBucket(f.bucket); f.bucket != "" && err != nil {
		return nil, usagef("--bucket: %w", err)
	}
	if strings.HasPrefix(f.bucket, "mem:") {
		return nil, usagef("--bucket %s: it ends with this process, and what is only there with it; use file:///directory", f.bucket)
	}
	c.bridge.Listen = f.listen
	if err := f.addServers(&c.bridge, getenv); err != nil {
		return nil, err
	}
	return c, f.addLogs(&c.bridge)
}

// ownerOf says where a root is, for who reads its claims elsewhere.
func ownerOf(root string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	if absolute, err := filepath.Abs(root); err == nil {
		root = absolute
	}
	return host + ":" + root
}

// addServers sets the servers elsewhere and how to log in there.
func (f *serveFlags) addServers(o *bridge.Options, getenv func(string) string) error {
	switch {
	case !f.elsewhere:
		return nil
	case len(f.nats) == 0 || slices.Contains(f.nats, ""): // as of a variable that is not set
		return usagef("--nats has an empty URL: name a server, or leave the flag out for the embedded one")
	}
	if _, err := bridge.ServerNames(f.nats); err != nil {
		return usagef("--nats: %w", err)
	}
	connect, err := f.connection.options(getenv)
	if err != nil {
		return err
	}
	o.URLs = f.nats
	o.ConnectOptions, err = connect.Authentication()
	return err
}

func (f *serveFlags) addLogs(o *bridge.Options) error {
	ack, known := engine.ParseLevel(f.ack)
	if !known {
		return usagef("--ack %q: use durable or written", f.ack)
	}
	if ack == engine.Cold {
		return usagef("--ack cold is not available in this build: publishers are not held until their record is in the cold tier; use durable or written")
	}
	options := engine.LogOptions{SegmentBytesMax: int64(f.segmentBytes), SegmentAgeMax: f.segmentAge}
	for _, text := range f.logs {
		name, subjects, ok := strings.Cut(text, "=")
		if !ok || name == "" || subjects == "" {
			return usagef("--log %q: write NAME=SUBJECT or NAME=SUBJECT,SUBJECT", text)
		}
		o.Logs = append(o.Logs, bridge.LogConfig{
			Name: name, Subjects: strings.Split(subjects, ","), Ack: ack, Options: options,
		})
	}
	return checkLogs(o.Logs, options)
}

func checkAddress(flag, address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return usagef("%s %q: write host:port", flag, address)
	}
	return nil
}
