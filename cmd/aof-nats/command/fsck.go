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
	f := fsck{app: a}
	called := &cobra.Command{
		Use:   "fsck ROOT|BUCKET-URL",
		Short: "Check every copy of every record, and all that describes them",
		Long: `Reads everything that there is of all logs and verifies it, without writing
anything: manifests, each segment file, warm file and object of the bucket by
itself, and that they agree. The root may be in use by serve. Of the bucket that
the root was used with last, objects have to be there as they were uploaded.

--deep also reads every object of the bucket whole, and looks records up by
sequence, by time and by record id, and compares what comes back.

With the URL of a bucket instead of a root, the objects in it are checked, and
that no sequence is missing between them.

Each finding says which copy is damaged and what that costs: none, repairable (the
records are in another copy) or lost. A record counts once, however many copies
hold it. Below the damage stands what is remarkable
and not wrong, such as a torn tail behind what is durable.

Exit code 5 says that something is damaged, 4 that something could not be looked
at, such as a bucket that does not answer.`,
		Args: cobra.ExactArgs(1),
	}
	called.RunE = a.run(func(ctx context.Context, args []string) error { return f.run(ctx, args[0]) })
	called.Flags().BoolVar(&f.deep, "deep", false, "also read objects whole, and check what finds records by sequence, time and record id")
	return called
}

// fsck is one run of the verb.
type fsck struct {
	app  *app
	deep bool
}

func (f *fsck) run(ctx context.Context, place string) error {
	if strings.HasPrefix(place, "mem:") {
		return usagef("%s: it lives in the process that uses it, here there is nothing in it; name a root or file:///directory", place)
	}
	shown := f.app.newProgress()
	defer shown.clear()
	checked, err := engine.Check(ctx, place, engine.CheckOptions{
		Deep: f.deep,
		OnProgress: func(log, path string) {
			shown.update(func() string { return fmt.Sprintf("checking %s: %s", log, path) })
		},
	})
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: not everything was checked: %w", ctx.Err())
	}
	if err != nil {
		return err
	}
	report := reportOfCheck(checked)
	if f.deep {
		if err := f.lookUp(ctx, place, checked, report, shown); err != nil {
			return err
		}
	}
	shown.clear()
	if err := f.print(report); err != nil {
		return err
	}
	return report.failure()
}

// lookUp finds records of every log that can be opened in every way there is.
func (f *fsck) lookUp(ctx context.Context, place string, checked *engine.CheckReport, report *rootCheck, shown *progress) (err error) {
	if len(checked.Unchecked) > 0 {
		return nil // what cannot be reached cannot be found
	}
	eng, err := engine.OpenReadOnly(place)
	if errors.Is(err, engine.ErrDamaged) {
		return nil // the report says so
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	for i := range report.Logs {
		c := &report.Logs[i]
		log, err := eng.OpenLog(c.Name, engine.LogOptions{})
		if err == nil {
			w := &logWalk{log: log, check: c, progress: shown}
			err = w.walk(ctx)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: not everything was checked: %w", ctx.Err())
		}
		if err != nil && c.Error == "" {
			c.failure, c.Error = err, err.Error()
		}
		report.OK = report.OK && err == nil && len(c.Damage) == 0
	}
	return nil
}

// print writes the report, for scripts or for people.
func (f *fsck) print(report *rootCheck) error {
	out := f.app.env.Stdout
	if f.app.json {
		return printJSON(out, report)
	}
	var text strings.Builder
	if len(report.Logs) == 0 {
		text.WriteString("No logs.\n")
	}
	for i := range report.Logs {
		text.WriteString(report.Logs[i].summary())
	}
	damage, notes := report.tables()
	for _, part := range []struct {
		title string
		table *table
	}{{"Damage:", damage}, {"Not damage:", notes}} {
		if len(part.table.rows) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n%s\n", part.title)
		if err := part.table.write(&text); err != nil {
			return err
		}
	}
	for _, unchecked := range report.Unchecked {
		fmt.Fprintf(&text, "\nNot checked: %s: %s\n", unchecked.What, unchecked.Error)
	}
	_, err := fmt.Fprint(out, text.String())
	return err
}
