package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/engine"
)

// rootFlag is --root of the verbs that read.
type rootFlag struct{ dir string }

func (r *rootFlag) addTo(called *cobra.Command) {
	called.Flags().StringVar(&r.dir, "root", "", "directory of the logs, or URL of their bucket; it is not written to, and serve may be using it")
	_ = called.MarkFlagDirname("root") // fails only for a flag that does not exist
}

// open opens the root without the right to write.
func (r *rootFlag) open() (*engine.Engine, error) {
	if r.dir == "" {
		return nil, usagef("--root is missing: name the directory of the logs")
	}
	opened, err := engine.OpenReadOnly(r.dir)
	return opened, wrap("open root", err)
}

// openLog opens one log of a read-only root.
func openLog(eng *engine.Engine, root, name string) (*engine.Log, error) {
	log, err := eng.OpenLog(name, engine.LogOptions{})
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("%w (%s; aof-nats log ls --root %s says more)", err, describeLogs(eng), root)
	}
	return log, err
}

// logsNamed is how many logs of a root a message names.
const logsNamed = 10

// describeLogs says which logs there are.
func describeLogs(eng *engine.Engine) string {
	names, err := eng.Logs()
	switch {
	case err != nil:
		return err.Error()
	case len(names) == 0:
		return "there is none"
	case len(names) == 1:
		return "there is " + names[0]
	case len(names) > logsNamed:
		return fmt.Sprintf("there are %s and %d more", strings.Join(names[:logsNamed], ", "), len(names)-logsNamed)
	}
	return "there are " + strings.Join(names, ", ")
}

// completeLogs completes the name of a log once --root is given.
func (r *rootFlag) completeLogs(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || r.dir == "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	eng, err := r.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := eng.Logs()
	if err != nil || eng.Close() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
