package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aof-nats/aof-nats/engine"
)

// Ready returns the reasons why the bridge does not do its work now: publishers
// are refused, or nobody hears them. None: it is ready.
func (b *Bridge) Ready() []string {
	var reasons []string
	if !b.conn.Connected() {
		reasons = append(reasons, "not connected to NATS, or not yet subscribed: messages are being lost")
	}
	for _, complaint := range b.intake.complaints() {
		reasons = append(reasons, "the NATS server refuses: "+complaint)
	}
	if !b.reads.conn.Connected() {
		reasons = append(reasons, "not connected to NATS for readers: they are not served")
	}
	for _, complaint := range b.reads.complaints.get() {
		reasons = append(reasons, "the NATS server refuses a reader's connection: "+complaint)
	}
	for _, l := range b.logs {
		reasons = append(reasons, l.refusing()...)
	}
	return reasons
}

// refusing is why publishers of the log are refused.
func (l *boundLog) refusing() (reasons []string) {
	state := l.log.State()
	if l.poisoned.Load() || state.Poisoned != nil {
		reasons = append(reasons, fmt.Sprintf("log %s is poisoned by a failed write or sync", l.name))
	}
	if state.AppendStop != nil {
		reasons = append(reasons, fmt.Sprintf("log %s refuses publishers: %v", l.name, state.AppendStop))
	}
	if state.Refusing {
		reasons = append(reasons, fmt.Sprintf("log %s refuses publishers: %s", l.name, roomText(state.NoRoom)))
	}
	if stream := l.overlap.Load(); stream != nil {
		reasons = append(reasons, fmt.Sprintf("stream %s captures subjects of log %s", *stream, l.name))
	}
	return reasons
}

// Warnings returns what needs an operator and keeps no publisher from being
// served.
func (b *Bridge) Warnings() []string {
	var warnings []string
	if outage := b.options.Engine.Stats().Outage; outage.Failures > 0 {
		warnings = append(warnings, fmt.Sprintf("the bucket takes nothing since %s, segments stay on the local disk: %v",
			outage.Since.UTC().Format(time.RFC3339), outage.Err))
	}
	for _, l := range b.reads.logs {
		warnings = append(warnings, warningsOf(l)...)
	}
	return warnings
}

func warningsOf(l *readLog) (warnings []string) {
	state := l.log.State()
	warn := func(format string, args ...any) {
		warnings = append(warnings, "log "+l.name+": "+fmt.Sprintf(format, args...))
	}
	if state.Poisoned != nil && len(l.subjects) == 0 {
		warn("poisoned by a failed write or sync; it is only read")
	}
	if state.NoRoom != nil && !state.Refusing {
		warn("publishers are refused when the active segment is full: %s", roomText(state.NoRoom))
	}
	if state.UploadsStopped != nil {
		warn("%v", state.UploadsStopped)
	}
	damaged := slices.DeleteFunc(slices.Clone(state.Recovery.Damaged), func(d *engine.DamageError) bool { return !d.CostsRecords() })
	if len(damaged) > 0 {
		warn("acknowledged records were found damaged when it was opened: run aof-nats fsck; %s", listed(damaged, func(d *engine.DamageError) string {
			return fmt.Sprintf("sequences %d to %d in segment %d", d.FirstSeq, d.LastSeq, d.Segment)
		}))
	}
	bad := slices.DeleteFunc(state.Segments, func(s engine.SegmentState) bool { return len(s.BadCopies) == 0 })
	if len(bad) > 0 {
		warn("copies do not verify; what another copy has whole is read from there: run aof-nats fsck; %s", listed(bad, func(s engine.SegmentState) string {
			return fmt.Sprintf("segment %d in %s", s.ID, strings.Join(s.BadCopies, " and "))
		}))
	}
	return warnings
}

// listedMax bounds how many things of one kind a warning names.
const listedMax = 4

// listed names the first of some things, and says how many there are more.
func listed[T any](things []T, name func(T) string) string {
	var names []string
	for _, thing := range things[:min(len(things), listedMax)] {
		names = append(names, name(thing))
	}
	text := strings.Join(names, ", ")
	if more := len(things) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// roomText says what is full.
func roomText(cause error) string {
	var full *engine.BackpressureError
	if errors.As(cause, &full) {
		return full.Full
	}
	return cause.Error()
}
