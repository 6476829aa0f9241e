package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aof-nats/aof-nats/engine"
)

// rootCheck is what fsck found. Its JSON names are a contract with scripts.
type rootCheck struct {
	Root      string            `json:"root"`
	Bucket    string            `json:"bucket,omitempty"`
	OK        bool              `json:"ok"`
	Deep      bool              `json:"deep"`
	Damage    []damageReport    `json:"damage,omitempty"` // of the root itself
	Logs      []logCheck        `json:"logs"`
	Unchecked []uncheckedReport `json:"unchecked,omitempty"`

	checked *engine.CheckReport
}

// logCheck is what fsck found in one log. Error is why it cannot be read.
type logCheck struct {
	Name     string         `json:"name"`
	Records  uint64         `json:"records"`
	Bytes    int64          `json:"bytes"`
	FirstSeq uint64         `json:"first_seq"`
	LastSeq  uint64         `json:"last_seq"`
	Segments int            `json:"segments"`
	Copies   copiesReport   `json:"copies"`
	Epochs   *epochsReport  `json:"epochs,omitempty"` // claimed in the bucket
	Lookups  uint64         `json:"lookups"`
	Damage   []damageReport `json:"damage"`
	Notes    []damageReport `json:"notes,omitempty"`
	Error    string         `json:"error,omitempty"`

	failure error
}

// copiesReport counts the copies of segments that were looked at.
type copiesReport struct {
	Hot        int   `json:"hot"`
	Warm       int   `json:"warm"`
	Cold       int   `json:"cold"`
	HotBytes   int64 `json:"hot_bytes"`
	WarmBytes  int64 `json:"warm_bytes"`
	ColdBytes  int64 `json:"cold_bytes"`
	ColdUnread int   `json:"cold_unread"` // not read whole
}

// String says how many copies there are in which tier.
func (c *copiesReport) String() string {
	var tiers []string
	for _, tier := range []struct {
		name  string
		count int
		bytes int64
	}{{tierHot, c.Hot, c.HotBytes}, {tierWarm, c.Warm, c.WarmBytes}, {tierCold, c.Cold, c.ColdBytes}} {
		if tier.count > 0 {
			tiers = append(tiers, fmt.Sprintf("%d %s (%s)", tier.count, tier.name, formatBytes(tier.bytes)))
		}
	}
	text := strings.Join(tiers, ", ")
	switch {
	case c.ColdUnread == c.Cold && c.Cold > 0:
		text += ", the cold ones not read whole"
	case c.ColdUnread > 0:
		text += fmt.Sprintf(", %d of the cold ones not read whole", c.ColdUnread)
	}
	return text
}

type epochsReport struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// damageReport is one finding. LastSeq is less than FirstSeq where no record is
// concerned. A note has no cost.
type damageReport struct {
	Segment      uint64 `json:"segment"`
	File         string `json:"file"`
	Offset       int64  `json:"offset"`
	Bytes        int64  `json:"bytes"`
	FirstSeq     uint64 `json:"first_seq"`
	LastSeq      uint64 `json:"last_seq"`
	Reason       string `json:"reason"`
	Kind         string `json:"kind"`
	Part         string `json:"part"` // hot, warm, cold, manifest, log, bucket, root, quarantine
	Cost         string `json:"cost,omitempty"`
	RepairFrom   string `json:"repair_from,omitempty"`
	RepairUnread bool   `json:"repair_unread,omitempty"`
}

type uncheckedReport struct {
	What  string `json:"what"`
	Error string `json:"error"`
}

func reportOfCheck(checked *engine.CheckReport) *rootCheck {
	report := &rootCheck{
		Root: checked.Place, Bucket: checked.Bucket, OK: checked.OK(), Deep: checked.Deep, Logs: []logCheck{},
		Damage: reportsOf(checked.Damage), checked: checked,
	}
	for i := range checked.Logs {
		l := &checked.Logs[i]
		c := logCheck{
			Name: l.Name, Records: l.Records, Bytes: l.DataBytes, FirstSeq: l.FirstSeq, LastSeq: l.LastSeq, Segments: l.Segments,
			Copies: copiesReport{
				Hot: l.Copies[0], Warm: l.Copies[1], Cold: l.Copies[2], ColdUnread: l.ColdUnread,
				HotBytes: l.CopyBytes[0], WarmBytes: l.CopyBytes[1], ColdBytes: l.CopyBytes[2],
			},
			Damage: append([]damageReport{}, reportsOf(l.Damage)...), Notes: reportsOf(l.Notes),
		}
		if l.EpochLast > 0 {
			c.Epochs = &epochsReport{First: l.EpochFirst, Last: l.EpochLast}
		}
		if l.ID == 0 && len(l.Damage) > 0 {
			c.Error = l.Damage[0].String()
		}
		report.Logs = append(report.Logs, c)
	}
	for _, part := range checked.Unchecked {
		report.Unchecked = append(report.Unchecked, uncheckedReport{What: part.What, Error: part.Err.Error()})
	}
	return report
}

func reportsOf(findings []engine.Finding) []damageReport {
	var reports []damageReport
	for _, f := range findings {
		if f.FirstSeq == 0 {
			f.FirstSeq, f.LastSeq = 1, 0 // none
		}
		reports = append(reports, damageReport{
			Segment: f.Segment, File: f.Path, Offset: f.Offset, Bytes: f.Bytes, FirstSeq: f.FirstSeq, LastSeq: f.LastSeq, Reason: f.Reason,
			Kind: string(f.Kind), Part: string(f.Part), Cost: string(f.Cost), RepairFrom: f.RepairFrom, RepairUnread: f.RepairUnread,
		})
	}
	return reports
}

// summary is a line about the log.
func (c *logCheck) summary() string {
	verdict := "ok"
	if c.failure != nil || len(c.Damage) > 0 {
		verdict = "DAMAGED"
	}
	line := fmt.Sprintf("%s: %s: %s in %s", c.Name, verdict, c.describeRecords(), plural(c.Segments, "segment"))
	if copies := c.Copies.String(); copies != "" {
		line += "; copies: " + copies
	}
	if c.failure != nil {
		line += fmt.Sprintf("; cannot be read: %v", c.failure)
	}
	return line + "\n"
}

func (c *logCheck) describeRecords() string {
	if c.LastSeq < c.FirstSeq {
		return "no records"
	}
	return fmt.Sprintf("%s (%d to %d)", plural(c.Records, "record"), c.FirstSeq, c.LastSeq)
}

// tables are all findings for people: damage, and what is none.
func (r *rootCheck) tables() (damage, notes *table) {
	damage = newTable("LOG", "PART", ">SEGMENT", ">OFFSET", ">BYTES", "SEQUENCES", "COST", "WHAT", "FILE")
	notes = newTable("LOG", "PART", ">SEGMENT", ">OFFSET", ">BYTES", "KIND", "WHAT", "FILE")
	for i := range r.Damage {
		damage.add(r.Damage[i].row("-", r.Damage[i].sequences(), r.Damage[i].cost())...)
	}
	for i := range r.Logs {
		c := &r.Logs[i]
		for j := range c.Damage {
			damage.add(c.Damage[j].row(c.Name, c.Damage[j].sequences(), c.Damage[j].cost())...)
		}
		for j := range c.Notes {
			notes.add(c.Notes[j].row(c.Name, c.Notes[j].Kind)...)
		}
	}
	return damage, notes
}

// row is the finding with the columns of its table in the middle.
func (d *damageReport) row(log string, middle ...string) []string {
	segment, offset, bytes := "-", "-", "-"
	if d.Segment > 0 {
		segment = fmt.Sprint(d.Segment)
	}
	if d.Bytes > 0 {
		offset, bytes = fmt.Sprint(d.Offset), fmt.Sprint(d.Bytes)
	}
	row := append([]string{log, d.Part, segment, offset, bytes}, middle...)
	return append(row, d.Reason, d.File)
}

func (d *damageReport) sequences() string {
	switch {
	case d.LastSeq < d.FirstSeq:
		return "-"
	case d.LastSeq == d.FirstSeq:
		return fmt.Sprint(d.FirstSeq)
	}
	return fmt.Sprintf("%d-%d", d.FirstSeq, d.LastSeq)
}

func (d *damageReport) cost() string {
	if d.RepairFrom == "" {
		return d.Cost
	}
	if d.RepairUnread {
		return fmt.Sprintf("%s from %s (not read)", d.Cost, d.RepairFrom)
	}
	return fmt.Sprintf("%s from %s", d.Cost, d.RepairFrom)
}

// failure is the error that the check ends with, nil if all is well.
func (r *rootCheck) failure() error {
	if r.OK {
		return nil
	}
	findings, lost := len(r.Damage), 0
	var failures []error
	for i := range r.Logs {
		findings += len(r.Logs[i].Damage)
		for j := range r.Logs[i].Damage {
			if r.Logs[i].Damage[j].Cost == string(engine.CostLost) {
				lost++
			}
		}
		if r.Logs[i].failure != nil {
			failures = append(failures, fmt.Errorf("log %s: %w", r.Logs[i].Name, r.Logs[i].failure))
		}
	}
	if findings > 0 {
		advice := "no record is lost: keep the files"
		if lost > 0 {
			advice = fmt.Sprintf("%d of them cost records that no other copy holds: keep the files, and restore them from a copy of the root", lost)
		}
		failures = append([]error{fmt.Errorf("%w: %s; %s", engine.ErrDamaged, plural(findings, "finding"), advice)}, failures...)
	}
	for _, part := range r.checked.Unchecked {
		failures = append(failures, fmt.Errorf("not checked: %s: %w", part.What, part.Err))
	}
	return errors.Join(failures...)
}
