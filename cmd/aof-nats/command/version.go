package command

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// versionReport is what `version --json` prints.
type versionReport struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: a.run(func(context.Context, []string) error {
			report := versionReport{Version: a.env.Version, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
			if a.json {
				return printJSON(a.env.Stdout, report)
			}
			_, err := fmt.Fprintf(a.env.Stdout, "aof-nats %s (%s, %s)\n", report.Version, report.Go, report.System)
			return err
		}),
	}
}
