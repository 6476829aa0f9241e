package main

import (
	"fmt"
	"os"
	"strings"
)

// The marks between which a document holds the table.
const (
	tableBegins = "<!-- peers: begin -->"
	tableEnds   = "<!-- peers: end -->"
)

// replaceIn puts the report between the marks of a Markdown file.
func (r *report) replaceIn(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s does not hold the lines %s and %s", path, tableBegins, tableEnds)
	}
	var table strings.Builder
	if err := r.writeTo(&table); err != nil {
		return err
	}
	text = []byte(before + tableBegins + "\n" + table.String() + tableEnds + after)
	return os.WriteFile(path, text, 0o644)
}
