package command

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag that takes a number of bytes as 64MiB, 1GB or 4096.
type byteSize int64

var byteUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	for _, unit := range byteUnits {
		if strings.HasSuffix(unit.name, "iB") && int64(*b)%unit.bytes == 0 {
			return strconv.FormatInt(int64(*b)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Set parses a size.
func (b *byteSize) Set(text string) error {
	number, factor := text, int64(1)
	for _, unit := range byteUnits {
		if rest, found := strings.CutSuffix(text, unit.name); found {
			number, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return fmt.Errorf("%q is no size: write it as 64MiB, 1GB or a number of bytes", text)
	}
	*b = byteSize(n * factor)
	return nil
}

// Type is what help calls the value.
func (b *byteSize) Type() string { return "size" }

// formatBytes writes a size for people.
func formatBytes(n int64) string {
	for _, unit := range byteUnits[:4] {
		if n >= unit.bytes {
			return strconv.FormatFloat(float64(n)/float64(unit.bytes), 'f', 1, 64) + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}

// formatCount writes a number for people, with commas.
func formatCount[T int | int64 | uint64](n T) string {
	digits := fmt.Sprintf("%d", n)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// plural writes a count with its noun.
func plural[T int | int64 | uint64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return formatCount(n) + " " + noun + "s"
}
