package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/engine"
)

func (a *app) logCommand() *cobra.Command {
	parent := &cobra.Command{
		Use:   "log",
		Short: "List and describe logs",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: use ls or info", args[0])
			}
			return usagef("name a command: ls or info")
		},
	}
	parent.AddCommand(a.logListCommand(), a.logInfoCommand())
	return parent
}

func (a *app) logListCommand() *cobra.Command {
	var root rootFlag
	called := &cobra.Command{
		Use:   "ls --root DIR",
		Short: "List the logs of a root",
		Args:  cobra.NoArgs,
		RunE:  a.run(func(context.Context, []string) error { return a.listLogs(&root) }),
	}
	root.addTo(called)
	return called
}

func (a *app) listLogs(root *rootFlag) (err error) {
	eng, err := root.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	names, err := eng.Logs()
	if err != nil {
		return err
	}
	reports := []logReport{}
	var failures []error
	for _, name := range names {
		log, err := eng.OpenLog(name, engine.LogOptions{})
		if err != nil {
			failures = append(failures, err)
			continue
		}
		a.sayLeftOut(log.State())
		report := reportOf(log.State())
		report.Name, report.Segments = name, nil // several logs of a bucket may be called the same
		reports = append(reports, report)
	}
	if a.json {
		err = printJSON(a.env.Stdout, reports)
	} else {
		err = a.printLogTable(reports)
	}
	return errors.Join(append(failures, err)...)
}

func (a *app) printLogTable(reports []logReport) error {
	if len(reports) == 0 {
		_, err := fmt.Fprintln(a.env.Stdout, "No logs.")
		return err
	}
	t := newTable("NAME", ">RECORDS", ">FIRST", ">LAST", ">SEGMENTS", ">HOT", ">WARM", ">COLD")
	for _, r := range reports {
		t.add(r.Name, formatCount(r.Records), strconv.FormatUint(r.FirstSeq, 10), strconv.FormatUint(r.DurableSeq, 10),
			strconv.Itoa(r.SegmentCount), formatBytes(r.HotBytes), formatBytes(r.WarmBytes), formatBytes(r.ColdBytes))
	}
	return t.write(a.env.Stdout)
}

func (a *app) logInfoCommand() *cobra.Command {
	var root rootFlag
	called := &cobra.Command{
		Use:   "info LOG --root DIR",
		Short: "Describe a log and its segments",
		Long: `Describes a log and its segments, as the files prove them. While serve has the
root open, its last step shows when the next one is recorded: until then nothing in
the files proves that it is on the disk. The same holds for the last records.

Where several logs of a bucket have one name, LOG is NAME.ID, as log ls shows it.`,
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(_ context.Context, args []string) error { return a.describeLog(&root, args[0]) }),
	}
	root.addTo(called)
	called.ValidArgsFunction = root.completeLogs
	return called
}

func (a *app) describeLog(root *rootFlag, name string) (err error) {
	eng, err := root.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	log, err := openLog(eng, root.dir, name)
	if err != nil {
		return err
	}
	a.sayLeftOut(log.State())
	report := reportOf(log.State())
	if a.json {
		return printJSON(a.env.Stdout, report)
	}
	return a.printLog(&report)
}

func (a *app) printLog(r *logReport) error {
	var f facts
	f.add("Log", r.Name)
	f.add("Id", r.ID)
	f.add("Records", formatCount(r.Records))
	f.add("First sequence", strconv.FormatUint(r.FirstSeq, 10))
	f.add("Durable sequence", strconv.FormatUint(r.DurableSeq, 10))
	f.add("Segments", strconv.Itoa(r.SegmentCount))
	f.add("Hot", formatBytes(r.HotBytes))
	f.add("Warm", formatBytes(r.WarmBytes))
	f.add("Cold", formatBytes(r.ColdBytes))
	if err := f.write(a.env.Stdout); err != nil || len(r.Segments) == 0 {
		return err
	}
	fmt.Fprintln(a.env.Stdout)
	t := newTable(">SEGMENT", ">FIRST", ">LAST", ">SIZE", "STATE", "TIERS", "FILE")
	for _, s := range r.Segments {
		t.add(strconv.FormatUint(s.ID, 10), strconv.FormatUint(s.FirstSeq, 10), strconv.FormatUint(s.LastSeq, 10),
			formatBytes(s.Bytes), s.State, strings.Join(s.Tiers, ","), s.File)
	}
	return t.write(a.env.Stdout)
}
