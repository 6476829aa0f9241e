package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

// selection is the flags that `read` and `tail` share: which records, and how
// they are printed.
type selection struct {
	root        rootFlag
	connection  connection
	subjects    []string
	limit       uint64
	format      string
	delimiter   string
	skipDamaged bool
}

func (s *selection) addTo(called *cobra.Command) {
	s.root.addTo(called)
	flags := called.Flags()
	s.connection.addTo(flags)
	flags.StringArrayVar(&s.subjects, "subject", nil, "only records whose subject matches, NATS wildcards allowed; repeat for more")
	flags.Uint64Var(&s.limit, "limit", 0, "stop after so many records; 0: no limit")
	flags.StringVar(&s.format, "format", "", "text (the default), ndjson (that of --json), or raw for payloads alone")
	flags.StringVar(&s.delimiter, "delimiter", "", `what follows each payload of the raw format; escapes such as \n and \x00 are understood`)
	flags.BoolVar(&s.skipDamaged, "skip-damaged", false, "read on behind damage, and say on standard error what was skipped")
	called.ValidArgsFunction = s.root.completeLogs
	_ = called.RegisterFlagCompletionFunc("format", cobra.FixedCompletions( // fails only for a flag that does not exist
		[]string{formatText, formatNDJSON, formatRaw}, cobra.ShellCompDirectiveNoFileComp))
}

// check refuses what cannot be read, before anything is opened.
func (s *selection) check(json bool) error {
	if s.root.dir != "" && s.connection.given != (client.Options{}) {
		return usagef("--root reads files and takes no flag about a NATS server: leave one of them out")
	}
	switch {
	case s.format == "" && json:
		s.format = formatNDJSON
	case s.format == "":
		s.format = formatText
	}
	if s.delimiter != "" && s.format != formatRaw {
		return usagef("--delimiter belongs to --format raw")
	}
	delimiter, err := strconv.Unquote(`"` + strings.ReplaceAll(s.delimiter, `"`, `\"`) + `"`)
	if err != nil {
		return usagef("--delimiter %q holds an escape that is not known", s.delimiter)
	}
	s.delimiter = delimiter
	for _, subject := range s.subjects {
		if !isSubjectFilter(subject) {
			return usagef("--subject %q is no subject: tokens are separated by single dots, and '>' stands last", subject)
		}
	}
	return nil
}

// start is where `read` begins: at most one of its flags is given.
type start struct {
	seq  uint64
	time string
	id   string
}

func (s *start) addTo(called *cobra.Command) {
	flags := called.Flags()
	flags.Uint64Var(&s.seq, "from-seq", 0, "begin at this sequence; 0: the first")
	flags.StringVar(&s.time, "from-time", "", "begin at this time (RFC 3339), or so long ago (15m)")
	flags.StringVar(&s.id, "from-id", "", "begin at this record id, as SEGMENT:OFFSET or one number")
}

// apply sets where a reader begins.
func (s *start) apply(o *engine.ReadOptions, now time.Time) error {
	given := 0
	for _, is := range []bool{s.seq != 0, s.time != "", s.id != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		return usagef("give one of --from-seq, --from-time and --from-id")
	}
	o.FromSeq = s.seq
	var err error
	if s.time != "" {
		o.FromTime, err = parseTime(s.time, now)
	}
	if s.id != "" {
		o.FromRecordID, err = parseRecordID(s.id)
	}
	return err
}

// parseTime reads a point in time as a timestamp, the nearest one if it lies before
// or after all of them.
func parseTime(text string, now time.Time) (int64, error) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return engine.TimestampAt(at), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return engine.TimestampAt(now.Add(-ago)), nil
	}
	return 0, usagef("--from-time %q: write 2026-01-31T13:00:00Z, or a duration such as 15m for so long ago", text)
}

func parseRecordID(text string) (engine.RecordID, error) {
	if id, err := strconv.ParseUint(text, 10, 64); err == nil && id > 0 {
		return engine.RecordID(id), nil
	}
	segment, offset, found := strings.Cut(text, ":")
	s, segmentErr := strconv.ParseUint(segment, 10, 32)
	o, offsetErr := strconv.ParseUint(offset, 10, 32)
	if !found || segmentErr != nil || offsetErr != nil || s == 0 {
		return 0, usagef("--from-id %q: write SEGMENT:OFFSET, or the id as one number", text)
	}
	return engine.NewRecordID(s, int64(o)), nil
}

// describeDamage says what a damaged range costs.
func describeDamage(damage *engine.DamageError) string {
	sequences := "no sequence"
	switch {
	case damage.LastSeq == damage.FirstSeq:
		sequences = fmt.Sprintf("sequence %d", damage.FirstSeq)
	case damage.LastSeq > damage.FirstSeq:
		sequences = fmt.Sprintf("sequences %d to %d", damage.FirstSeq, damage.LastSeq)
	}
	return fmt.Sprintf("log %s, segment %d, offset %d, %s: %s (%s); file %s",
		damage.Log, damage.Segment, damage.Offset, plural(damage.Bytes, "byte"), sequences, damage.Reason, damage.Path)
}
