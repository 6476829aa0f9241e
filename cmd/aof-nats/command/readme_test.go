package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// The command lines that the README shows name verbs and flags that there are.

const readmePath = "../../../README.md"

var consoleBlock = regexp.MustCompile("(?s)```console\n(.*?)```")

// shellWord is a word of a command line: what stands in quotes is not split.
var shellWord = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)

// shownCommands returns the calls of the program in a page's console blocks,
// without its name.
func shownCommands(t *testing.T, path string) (calls [][]string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range consoleBlock.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			_, call, found := strings.Cut(line, "bin/aof-nats ")
			if !found {
				continue
			}
			words := shellWord.FindAllString(call, -1)
			for i := range words {
				words[i] = strings.NewReplacer("'", "", `"`, "").Replace(words[i])
			}
			calls = append(calls, words)
		}
	}
	return calls
}

func TestReadmeShowsVerbsAndFlagsThatThereAre(t *testing.T) {
	calls := shownCommands(t, filepath.FromSlash(readmePath))
	if len(calls) < 6 {
		t.Fatalf("only %d calls of the program in the README", len(calls))
	}
	for _, words := range calls {
		root := (&app{}).rootCommand()
		verb, rest, err := root.Find(words)
		if err != nil || verb == root {
			t.Errorf("%q: no such verb: %v", words, err)
			continue
		}
		if err := verb.ParseFlags(rest); err != nil {
			t.Errorf("%q: %v", words, err)
			continue
		}
		if err := verb.ValidateArgs(verb.Flags().Args()); err != nil {
			t.Errorf("%q: %v", words, err)
		}
		verb.Flags().Visit(func(given *pflag.Flag) {
			if given.Value.String() == "" {
				t.Errorf("%q: --%s is empty", words, given.Name)
			}
		})
	}
}
