package command

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var logID = regexp.MustCompile(`("id": "|Id: )[0-9a-f]{16}`)

// withoutID replaces a log's random number.
func withoutID(text string) string { return logID.ReplaceAllString(text, "${1}0123456789abcdef") }

func TestLogsAreListed(t *testing.T) {
	root := exampleRoot(t)
	writeLog(t, root, "EMPTY", nil)
	golden(t, "log-ls.txt", succeed(t, "log", "ls", "--root", root))
	golden(t, "log-ls.json", withoutID(succeed(t, "log", "ls", "--root", root, "--json")))
}

func TestALogIsDescribed(t *testing.T) {
	root := exampleRoot(t)
	golden(t, "log-info.txt", withoutID(succeed(t, "log", "info", "ORDERS", "--root", root)))
	golden(t, "log-info.json", withoutID(succeed(t, "log", "info", "ORDERS", "--root", root, "--json")))
}

func TestLookingAtLogsChangesNothing(t *testing.T) {
	root := exampleRoot(t)
	before := tree(t, root)
	succeed(t, "log", "ls", "--root", root)
	succeed(t, "log", "info", "ORDERS", "--root", root)
	succeed(t, "read", "ORDERS", "--root", root)
	succeed(t, "fsck", root, "--deep")
	if after := tree(t, root); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestALogOrRootThatIsNotThere(t *testing.T) {
	root := exampleRoot(t)
	failWith(t, exitNotFound, []string{"NONE", "log ls --root " + root}, "log", "info", "NONE", "--root", root)
	failWith(t, exitNotFound, []string{"is no root"}, "log", "ls", "--root", filepath.Join(root, "none"))
	failWith(t, exitUsage, []string{"--root is missing"}, "log", "ls")
	failWith(t, exitUsage, []string{"log name"}, "log", "info", "a.b", "--root", root)
}

func TestALogThatCannotBeOpenedDoesNotHideTheOthers(t *testing.T) {
	root := exampleRoot(t)
	writeLog(t, root, "BROKEN", nil)
	if err := os.WriteFile(filepath.Join(root, "logs", "BROKEN", "log.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := failWith(t, exitCorruption, []string{"BROKEN"}, "log", "ls", "--root", root)
	golden(t, "log-ls-one.txt", r.stdout)
}
