package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is columns for people: text to the left, numbers to the right.
type table struct {
	header []string
	right  []bool // by column
	rows   [][]string
}

// newTable makes a table; a column whose name begins with '>' is aligned to the
// right.
func newTable(columns ...string) *table {
	t := &table{}
	for _, column := range columns {
		name, right := strings.CutPrefix(column, ">")
		t.header, t.right = append(t.header, name), append(t.right, right)
	}
	return t
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table.
func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.header))
	all := append([][]string{t.header}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	out := bufio.NewWriter(w)
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
	return out.Flush()
}

// facts are lines of a name and its value.
type facts [][2]string

func (f *facts) add(name, value string) { *f = append(*f, [2]string{name, value}) }

func (f facts) write(w io.Writer) error {
	width := 0
	for _, fact := range f {
		width = max(width, len(fact[0]))
	}
	out := bufio.NewWriter(w)
	for _, fact := range f {
		fmt.Fprintf(out, "%*s: %s\n", width, fact[0], fact[1])
	}
	return out.Flush()
}

// printJSON prints a value for scripts.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
