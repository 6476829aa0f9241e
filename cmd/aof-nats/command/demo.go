package command

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

// demoFlags are what `demo` was called with.
type demoFlags struct {
	events  string
	subject string
	root    string
	bucket  string
	keep    bool
}

func (a *app) demoCommand() *cobra.Command {
	var f demoFlags
	called := &cobra.Command{
		Use:   "demo",
		Short: "Show every tier at work, with a crash in the middle",
		Long: `Starts a bridge with its own NATS server, a directory as bucket, and budgets so
small that the events move through all tiers; publishes real events, one message
each, and kills the bridge with SIGKILL while publishes are in flight; starts it
again, publishes what was not acknowledged and the rest; waits until segments
are compressed, uploaded and evicted; reads every event back by sequence, by time
and by subject over NATS, and from the files, and compares it with its source
byte for byte.

Exit code 0: nothing is lost, invented or doubled, and all stands in the order of
its source; an event that was refused for lack of room and published again stands
where it was then. 5: otherwise.

The events are 1,707 earthquakes of one week (US Geological Survey), or the lines
of --events, of at most 960 KiB each. Those go to events.all unless --subject
says otherwise; fields of an event's JSON stand in braces. Earthquakes go to
quakes.<net>.<magType>.

Everything is in a temporary directory that is removed at the end, unless --root,
--bucket or --keep is given.

In the JSON that --json prints, segments counts each segment once, in the nearest
tier that holds it; bytes are what each tier stores, and raw is what the segments
in the bucket were before compression; bucket_requests are those of the bridges,
of a killed one as of shortly before, and those of reading the files.`,
		Example: `  aof-nats demo
  aof-nats demo --events flights.ndjson --subject 'flights.{origin}.{destination}'
  aof-nats demo --root ./data --keep`,
		Args: cobra.NoArgs,
	}
	called.RunE = a.run(func(ctx context.Context, _ []string) error { return a.demo(ctx, &f) })
	flags := called.Flags()
	flags.StringVar(&f.events, "events", "", "publish the lines of this file instead of the earthquakes")
	flags.StringVar(&f.subject, "subject", "", "where events go, as 'flights.{origin}.{destination}'")
	flags.StringVar(&f.root, "root", "", "directory of the log; made if there is none, and left as it is at the end")
	flags.StringVar(&f.bucket, "bucket", "", "URL of the object store (default: the directory bucket beside the log's files)")
	flags.BoolVar(&f.keep, "keep", false, "leave the bridge running until interrupted, and the files after it")
	return called
}

// demo is one run of `demo`.
type demo struct {
	app     *app
	flags   *demoFlags
	program string // what is run as the bridge
	source  *eventSource
	// expected is what the events are compared with: the source, read anew.
	expected *eventSource
	log      string
	root     string
	bucket   string
	scratch  string // the temporary directory, "" if there is none

	ledger   *eventLedger
	sizes    demoSizes
	bridge   *demoBridge
	progress *progress
	report   demoReport
}

const (
	logOfQuakes = "QUAKES"
	logOfEvents = "EVENTS"
)

// demo checks the call and runs.
func (a *app) demo(ctx context.Context, f *demoFlags) error {
	source, err := newEventSource(f.events, f.subject)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, which is run as the bridge: %w", err)
	}
	d := &demo{app: a, flags: f, program: program, source: source, expected: source, log: logOfEvents, progress: a.newProgress()}
	if f.events == "" {
		d.log = logOfQuakes
	}
	return d.run(ctx)
}

// run shows all stages and reports, and leaves nothing behind that was not asked
// for.
func (d *demo) run(ctx context.Context) (err error) {
	if err := d.check(); err != nil {
		return err
	}
	if d.ledger, err = newEventLedger(d.expected); err != nil {
		return err
	}
	d.sizes = sizesFor(d.ledger)
	if err := d.choosePlaces(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.cleanUp()) }()
	if err := d.stages(ctx); err != nil {
		d.progress.clear()
		return err
	}
	err = d.report.write(d)
	if err == nil && d.flags.keep && ctx.Err() == nil {
		d.say("The bridge goes on until it is interrupted.")
		<-ctx.Done()
	}
	if d.bridge != nil {
		err = errors.Join(err, d.bridge.stop())
		d.bridge = nil
	}
	return err
}

// check refuses what cannot work, before anything is made.
func (d *demo) check() error {
	config := bridge.LogConfig{Name: d.log, Subjects: []string{d.source.captured()}}
	if err := checkLogs([]bridge.LogConfig{config}, engine.LogOptions{SegmentBytesMax: segmentBytesFloor}); err != nil {
		return err
	}
	if d.flags.bucket != "" {
		if err := engine.CheckBucket(d.flags.bucket); err != nil {
			return usagef("--bucket: %w", err)
		}
		if strings.HasPrefix(d.flags.bucket, "mem:") {
			return usagef("--bucket %s: the bridge is killed, and what it has in memory is gone with it; use file:///directory", d.flags.bucket)
		}
	}
	if d.flags.root == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(d.flags.root, "logs", d.log)); err == nil {
		return usagef("--root %s holds a log %s already: choose another directory", d.flags.root, d.log)
	}
	return nil
}

// choosePlaces names root and bucket.
func (d *demo) choosePlaces() (err error) {
	d.root, d.bucket = d.flags.root, d.flags.bucket
	if d.root == "" {
		if d.scratch, err = os.MkdirTemp("", "aof-nats-demo-"); err != nil {
			return fmt.Errorf("make temporary directory: %w", err)
		}
		d.root = d.scratch
	}
	if d.root, err = filepath.Abs(d.root); err != nil {
		return fmt.Errorf("find root: %w", err)
	}
	if d.bucket == "" {
		at := url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(d.root, "bucket"))}
		d.bucket = at.String()
	}
	return nil
}

// kept reports whether the files stay.
func (d *demo) kept() bool { return d.flags.keep || d.flags.root != "" || d.flags.bucket != "" }

// cleanUp ends a bridge that still runs and removes what is temporary.
func (d *demo) cleanUp() error {
	if d.bridge != nil {
		d.bridge.kill()
	}
	if d.scratch == "" || d.kept() {
		return nil
	}
	if err := os.RemoveAll(d.scratch); err != nil {
		return fmt.Errorf("remove temporary directory: %w", err)
	}
	return nil
}

// say prints a line about a stage: on standard error if standard output is for
// JSON.
func (d *demo) say(format string, args ...any) {
	d.progress.clear()
	out := d.app.env.Stdout
	if d.app.json {
		out = d.app.env.Stderr
	}
	fmt.Fprintf(out, format+"\n", args...)
}

// stages runs them in order.
func (d *demo) stages(ctx context.Context) error {
	d.say("%s, log %s, root %s, bucket %s", plural(len(d.ledger.events), "event"), d.log, d.root, d.bucket)
	d.say("segments of %s, %s hot, %s warm", formatBytes(int64(d.sizes.segment)), formatBytes(int64(d.sizes.hot)), formatBytes(int64(d.sizes.warm)))
	if err := d.publish(ctx); err != nil {
		return err
	}
	placed, err := d.settle(ctx)
	if err != nil {
		return err
	}
	d.report.Segments, d.report.Bytes, d.report.Ratio = placed.segments, placed.bytes, rounded(placed.bytes.ratio())
	d.say("sealed, compressed, uploaded and evicted: of %s, %d are hot, %d warm and %d only in the bucket (%s, %.1f times smaller)",
		plural(placed.segments.Hot+placed.segments.Warm+placed.segments.Cold, "segment"), placed.segments.Hot, placed.segments.Warm, placed.segments.Cold,
		formatBytes(placed.bytes.Cold), placed.bytes.ratio())
	if err := d.readBack(ctx, &placed); err != nil {
		return err
	}
	requests, err := d.bridge.requests(ctx)
	d.report.BucketRequests.add(requests)
	return err
}

func (d *demo) startBridge(ctx context.Context) (err error) {
	began := time.Now()
	d.bridge, err = startDemoBridge(ctx, d.program, []string{
		"serve", "--root", d.root, "--bucket", d.bucket, "--log", d.log + "=" + d.source.captured(),
		"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--segment-bytes", d.sizes.segment.String(), "--hot-bytes", d.sizes.hot.String(), "--warm-bytes", d.sizes.warm.String(),
	})
	if err == nil {
		d.say("the bridge serves %s after %d ms", d.bridge.NATSURL, time.Since(began).Milliseconds())
	}
	return err
}

// publish publishes all events over as many lives of the bridge as it takes.
func (d *demo) publish(ctx context.Context) (err error) {
	source, err := d.source.read()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	p := newDemoPublisher(d.ledger, source, d.progress)
	for more := true; more; {
		if err := d.startBridge(ctx); err != nil {
			return err
		}
		life, err := p.publishTo(ctx, d.bridge)
		if err != nil {
			return err
		}
		if more = life.killed; !more {
			break
		}
		if !d.bridge.wasKilled() {
			return fmt.Errorf("kill bridge: it ended with %s", d.bridge.command.ProcessState)
		}
		d.bridge = nil
		d.report.Kills++
		d.report.InFlightAtKill += life.inFlight
		d.report.BucketRequests.add(life.requests)
		d.say("killed with SIGKILL after %s: %d publishes are in flight without an answer", plural(p.answers.acked, "acknowledgement"), life.inFlight)
		if life.inFlight == 0 {
			p.killAgain() // it hit a moment of rest, and has shown nothing
		}
	}
	d.report.addPublished(p)
	d.say("%s acknowledged, each after its sync; %d of those in flight had been stored, and were not stored again; %d were refused for lack of room and published again",
		formatCount(p.answers.acked), p.answers.duplicates, p.answers.refused)
	return nil
}

// readBack reads everything in each way and counts what differs.
func (d *demo) readBack(ctx context.Context, placed *placement) error {
	connected, err := client.Connect(ctx, client.Options{Server: d.bridge.NATSURL, Name: "aof-nats demo", Timeout: demoTimeout, Reconnect: true})
	if err != nil {
		return err
	}
	defer connected.Close()
	compared := newComparison(d.ledger)
	r := &demoReader{log: d.log, compared: compared, progress: d.progress, client: connected}
	if err := r.bySequence(ctx); err != nil {
		return err
	}
	d.say("read back by sequence: %s", plural(r.records, "record"))
	slices, err := r.byTime(ctx)
	if err != nil {
		return err
	}
	d.say("read back by time, from %s on", plural(slices, "point"))
	filters, err := r.bySubject(ctx)
	if err != nil {
		return err
	}
	d.say("read back by subject, with %s", plural(filters, "filter"))
	made, err := r.fromFiles(ctx, d.root)
	if err != nil {
		return err
	}
	d.report.BucketRequests.add(bucketRequests{Put: made.Put, Get: made.Get, List: made.List, Delete: made.Delete})
	d.say("read back from the files, while the bridge uses them")
	took, err := r.coldPoints(ctx, placed.list)
	if err != nil {
		return err
	}
	d.say("read %s one by one out of the bucket", plural(len(took), "record"))
	d.report.addRead(r, took)
	return nil
}
