package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

func TestHelpOfEachVerb(t *testing.T) {
	for name, args := range map[string][]string{
		"aof-nats": {"--help"}, "serve": {"serve", "--help"}, "pub": {"pub", "--help"}, "read": {"read", "--help"},
		"tail": {"tail", "--help"}, "fsck": {"fsck", "--help"}, "demo": {"demo", "--help"}, "log": {"log", "--help"}, "log-ls": {"log", "ls", "--help"},
		"log-info": {"log", "info", "--help"}, "version": {"version", "--help"},
	} {
		t.Run(name, func(t *testing.T) { golden(t, "help-"+name+".txt", succeed(t, args...)) })
	}
}

func TestVersion(t *testing.T) {
	if text := succeed(t, "version"); !strings.HasPrefix(text, "aof-nats 1.2.3 (go") {
		t.Errorf("text is %q", text)
	}
	var report versionReport
	if err := json.Unmarshal([]byte(succeed(t, "version", "--json")), &report); err != nil || report.Version != "1.2.3" || report.Go == "" {
		t.Errorf("report is %+v, %v", report, err)
	}
}

func TestWrongCallsAreErrorsOfUsageWithTheWayToHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"serv"}, "Did you mean this?\n\tserve"},
		{[]string{"log"}, "name a command: ls or info"},
		{[]string{"log", "rm"}, `unknown command "rm"`},
		{[]string{"read"}, "accepts 1 arg(s)"},
		{[]string{"read", "ORDERS", "--nonsense"}, "unknown flag: --nonsense"},
		{[]string{"serve", "--hot-bytes", "lots"}, `"lots" is no size: write it as 64MiB`},
		{[]string{"fsck"}, "accepts 1 arg(s)"},
	} {
		r := run(t, c.args...)
		r.mustFail(t, exitUsage, c.text, "--help' for its use.")
		if r.stdout != "" {
			t.Errorf("%q wrote %q on standard output", c.args, r.stdout)
		}
	}
}

func TestShellsCanCompleteVerbsAndLogs(t *testing.T) {
	root := exampleRoot(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if script := succeed(t, "completion", shell); !strings.Contains(script, "aof-nats") {
			t.Errorf("%s: script is %q", shell, script)
		}
	}
	r := run(t, "__complete", "read", "--root", root, "")
	if !strings.HasPrefix(r.stdout, "ORDERS\n") {
		t.Errorf("completing a log gives %q", r.stdout)
	}
}

func TestExitCodesTellTheKindsOfErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{usagef("wrong"), exitUsage},
		{bridge.ErrOverlap, exitUsage},
		{fmt.Errorf("start: %w", bridge.ErrSubject), exitUsage},
		{notFoundf("none"), exitNotFound},
		{engine.ErrNotFound, exitNotFound},
		{client.ErrNoLog, exitNotFound},
		{client.ErrAuthentication, exitAuthentication},
		{engine.ErrRootInUse, exitIO},
		{engine.ErrNewerFormat, exitIO},
		{engine.ErrPoisoned, exitIO},
		{client.ErrConnection, exitIO},
		{client.ErrRefused, exitIO},
		{io.ErrShortWrite, exitIO},
		{&engine.DamageError{}, exitCorruption},
		{errors.Join(engine.ErrNotFound, engine.ErrDamaged), exitCorruption},
		{&engine.BackpressureError{}, exitTimeout},
		{&client.RefusedError{Code: 503, ErrorCode: 10077}, exitTimeout},
		{client.ErrTimeout, exitTimeout},
		{context.DeadlineExceeded, exitTimeout},
	} {
		if got := exitCode(c.err); got != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.code)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "64MiB": 64 << 20, "1 GiB": 1 << 30, "2GB": 2e9, "3kB": 3000, "7B": 7, "1TiB": 1 << 40,
	} {
		var b byteSize
		if err := b.Set(text); err != nil || int64(b) != want {
			t.Errorf("%q is %d, %v; want %d", text, b, err, want)
		}
		var again byteSize
		if shown := b.String(); want > 0 && (again.Set(shown) != nil || again != b) {
			t.Errorf("%q is shown as %q, which is %d", text, shown, again)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5MiB", "9999999TiB", "MiB", "64 mib"} {
		var b byteSize
		if b.Set(text) == nil {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{formatBytes(1023), "1023 B"}, {formatBytes(1536), "1.5 KiB"}, {formatBytes(3 << 30), "3.0 GiB"},
		{formatCount(999), "999"}, {formatCount(1000), "1,000"}, {formatCount(-1234567), "-1,234,567"},
		{plural(1, "record"), "1 record"}, {plural(2000, "record"), "2,000 records"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
