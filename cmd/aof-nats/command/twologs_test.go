package command

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// After the loss of the disk a new root puts its log of the same name beside the
// old one into the bucket. Every command that reads the bucket lets choose.
func TestTwoLogsOfOneNameInABucketAreToldApart(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "bucket")
	tieredRootIn(t, directory, 50)
	tieredRootIn(t, directory, 20)
	bucket := "file://" + directory
	var logs []logReport
	if err := json.Unmarshal([]byte(succeed(t, "log", "ls", "--root", bucket, "--json")), &logs); err != nil {
		t.Fatal(err)
	}
	if len(logs) != 2 || logs[0].Records+logs[1].Records != 70 {
		t.Fatalf("the logs are %+v", logs)
	}
	table, checked := succeed(t, "log", "ls", "--root", bucket), succeed(t, "fsck", "--deep", bucket)
	for _, log := range logs {
		if log.Name != "N."+log.ID || !strings.Contains(table, log.Name) || !strings.Contains(checked, log.Name+": ok") {
			t.Errorf("%s is not in\n%s\n%s", log.Name, table, checked)
		}
		if text := succeed(t, "read", log.Name, "--root", bucket, "--format", "raw"); strings.Count(text, "number-") != int(log.Records) {
			t.Errorf("%s: %s", log.Name, text)
		}
		if text := succeed(t, "log", "info", log.Name, "--root", bucket); !strings.Contains(text, log.ID) {
			t.Errorf("%s: %s", log.Name, text)
		}
		tail := startCommand(t, "tail", log.Name, "--root", bucket, "-n", "1", "--format", "raw")
		tail.stdout.await(t, "number-")
	}
	choices := []string{logs[0].Name, logs[1].Name, "sequences 1 to 50", "sequences 1 to 20"}
	for _, args := range [][]string{{"read", "N"}, {"tail", "N"}, {"log", "info", "N"}} {
		failWith(t, exitUsage, choices, append(args, "--root", bucket)...)
	}
}
