package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/engine"
)

// rootFlag is --root of the verbs that read.
type rootFlag struct{ dir string }

func (r *rootFlag) addTo(called *cobra.Command) {
	called.Flags().StringVar(&r.dir, "root", "", "directory of the logs; it is not written to, and serve may be using it")
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
	if err := engine.ValidateLogName(name); err != nil {
		return nil, usage(err)
	}
	log, err := eng.OpenLog(name, engine.LogOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w (aof-nats log ls --root %s lists what is there)", err, root)
	}
	return log, nil
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
