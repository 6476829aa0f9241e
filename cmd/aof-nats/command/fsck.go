package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/engine"
)

func (a *app) fsckCommand() *cobra.Command {
	var deep bool
	called := &cobra.Command{
		Use:   "fsck ROOT",
		Short: "Check every record of every log",
		Long: `Reads every record of every log and verifies it, without writing anything. The
root may be in use by serve.

--deep also looks records up by sequence, by time and by record id, and compares
what comes back.

Exit code 5 says that something is damaged: the report names file, offset and
sequences. Records around the damage stay readable.`,
		Args: cobra.ExactArgs(1),
	}
	called.RunE = a.run(func(ctx context.Context, args []string) error {
		if strings.Contains(args[0], "://") {
			return usagef("checking a bucket is not available in this build: name the directory of a root")
		}
		return a.checkRoot(ctx, args[0], deep)
	})
	called.Flags().BoolVar(&deep, "deep", false, "also check what finds records by sequence, time and record id")
	return called
}

// rootCheck is what fsck found. Its JSON names are a contract with scripts.
type rootCheck struct {
	Root string     `json:"root"`
	OK   bool       `json:"ok"`
	Deep bool       `json:"deep"`
	Logs []logCheck `json:"logs"`
}

// logCheck is what fsck found in one log. Error is why it cannot be read.
type logCheck struct {
	Name     string         `json:"name"`
	Records  uint64         `json:"records"`
	Bytes    int64          `json:"bytes"`
	FirstSeq uint64         `json:"first_seq"`
	LastSeq  uint64         `json:"last_seq"`
	Segments int            `json:"segments"`
	Lookups  uint64         `json:"lookups"`
	Damage   []damageReport `json:"damage"`
	Error    string         `json:"error,omitempty"`

	failure error
}

// damageReport is one damaged range. LastSeq is less than FirstSeq where no
// record is lost.
type damageReport struct {
	Segment  uint64 `json:"segment"`
	File     string `json:"file"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	Reason   string `json:"reason"`
}

func (a *app) checkRoot(ctx context.Context, dir string, deep bool) (err error) {
	root := rootFlag{dir: dir}
	eng, err := root.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	names, err := eng.Logs()
	if err != nil {
		return err
	}
	report := rootCheck{Root: dir, OK: true, Deep: deep, Logs: []logCheck{}}
	shown := a.newProgress()
	for _, name := range names {
		checked := checkLog(ctx, eng, name, deep, shown)
		if ctx.Err() != nil {
			shown.clear()
			return fmt.Errorf("interrupted: not everything was checked: %w", ctx.Err())
		}
		report.Logs = append(report.Logs, checked)
		report.OK = report.OK && checked.failure == nil && len(checked.Damage) == 0
	}
	shown.clear()
	if err := a.printCheck(&report); err != nil {
		return err
	}
	return report.failure()
}

// checkLog reads a log that may be damaged in any way.
func checkLog(ctx context.Context, eng *engine.Engine, name string, deep bool, shown *progress) logCheck {
	c := logCheck{Name: name, Damage: []damageReport{}}
	log, err := eng.OpenLog(name, engine.LogOptions{})
	if err == nil {
		w := &logWalk{log: log, check: &c, deep: deep, progress: shown}
		err = w.walk(ctx)
	}
	if err != nil {
		c.failure, c.Error = err, err.Error()
	}
	return c
}

func (a *app) printCheck(report *rootCheck) error {
	if a.json {
		return printJSON(a.env.Stdout, report)
	}
	if len(report.Logs) == 0 {
		_, err := fmt.Fprintln(a.env.Stdout, "No logs.")
		return err
	}
	var err error
	for i := range report.Logs {
		c := &report.Logs[i]
		verdict := "ok"
		if c.failure != nil || len(c.Damage) > 0 {
			verdict = "DAMAGED"
		}
		_, err = fmt.Fprintf(a.env.Stdout, "%s: %s: %s in %s, %s\n", c.Name, verdict,
			c.describeRecords(), plural(c.Segments, "segment"), formatBytes(c.Bytes))
		for _, d := range c.Damage {
			_, err = fmt.Fprintf(a.env.Stdout, "  %s\n", d.describe())
		}
		if c.failure != nil {
			_, err = fmt.Fprintf(a.env.Stdout, "  cannot be read: %v\n", c.failure)
		}
	}
	return err
}

func (c *logCheck) describeRecords() string {
	if c.LastSeq < c.FirstSeq {
		return "no records"
	}
	return fmt.Sprintf("%s (%d to %d)", plural(c.Records, "record"), c.FirstSeq, c.LastSeq)
}

func (d *damageReport) describe() string {
	lost := "no record lost"
	switch {
	case d.LastSeq == d.FirstSeq:
		lost = fmt.Sprintf("sequence %d lost", d.FirstSeq)
	case d.LastSeq > d.FirstSeq:
		lost = fmt.Sprintf("sequences %d to %d lost", d.FirstSeq, d.LastSeq)
	}
	place := fmt.Sprintf("segment %d", d.Segment)
	if d.Bytes > 0 {
		place += fmt.Sprintf(", offset %d, %s", d.Offset, plural(d.Bytes, "byte"))
	}
	if d.File != "" {
		return fmt.Sprintf("%s: %s: %s; file %s", place, lost, d.Reason, d.File)
	}
	return fmt.Sprintf("%s: %s: %s", place, lost, d.Reason)
}

// failure is the error that the check ends with, nil if all is well.
func (r *rootCheck) failure() error {
	if r.OK {
		return nil
	}
	ranges, failures := 0, []error{}
	for i := range r.Logs {
		ranges += len(r.Logs[i].Damage)
		if r.Logs[i].failure != nil {
			failures = append(failures, fmt.Errorf("log %s: %w", r.Logs[i].Name, r.Logs[i].failure))
		}
	}
	if ranges > 0 {
		failures = append([]error{fmt.Errorf("%w: %s; keep the files, and restore them from a copy of the root or from another tier",
			engine.ErrDamaged, plural(ranges, "damaged range"))}, failures...)
	}
	return errors.Join(failures...)
}
