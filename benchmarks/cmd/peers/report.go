package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aof-nats/aof-nats/benchmarks/internal/wal"
)

// report is all that a run has found.
type report struct {
	Machine     machine
	Rounds      int
	Comparisons []summary
	WAL         []wal.Result `json:",omitempty"`
}

// summary is one comparison with its medians.
type summary struct {
	ID, Title string
	Rows      []row
	Bars      []verdict
	Turns     []turn
}

// row is one contender: medians over the rounds.
type row struct {
	Contender          string
	Messages           int // a turn
	Rate, Low, High    float64
	P50, P99           time.Duration
	ServerMicroseconds float64 // of processor time a message
	ClientMicroseconds float64
}

// verdict is a bar and the median of the rounds' ratios.
type verdict struct {
	Subject, Reference string
	Metric             metric
	Ratio, Low, High   float64
	Bar                string
	Reached            bool
}

func summarise(c *comparison, turns []turn) summary {
	s := summary{ID: c.ID, Title: c.Title, Turns: turns}
	for i := range c.contenders {
		s.Rows = append(s.Rows, summariseRow(&c.contenders[i], turns))
	}
	for _, b := range c.bars {
		s.Bars = append(s.Bars, judge(b, turns))
	}
	return s
}

func summariseRow(c *contender, turns []turn) row {
	r := row{Contender: c.name, Messages: c.job.Messages}
	var rates, p50s, p99s, server, client []float64
	for i := range turns {
		t := &turns[i]
		if t.Contender != c.name {
			continue
		}
		rates = append(rates, t.Result.Rate())
		p50s = append(p50s, float64(t.Result.P50))
		p99s = append(p99s, float64(t.Result.P99))
		server = append(server, perMessage(t.ServerCPU, &c.job))
		client = append(client, perMessage(t.Result.CPU, &c.job))
	}
	r.Rate, r.Low, r.High = median(rates), slices.Min(rates), slices.Max(rates)
	r.P50, r.P99 = time.Duration(median(p50s)), time.Duration(median(p99s))
	r.ServerMicroseconds, r.ClientMicroseconds = median(server), median(client)
	return r
}

// judge compares round by round: what else the machine did then concerned both.
func judge(b bar, turns []turn) verdict {
	v := verdict{Subject: b.subject, Reference: b.reference, Metric: b.metric}
	var ratios []float64
	for i := range turns {
		for j := range turns {
			if turns[i].Contender == b.subject && turns[j].Contender == b.reference && turns[i].Round == turns[j].Round {
				ratios = append(ratios, b.metric.of(&turns[i])/b.metric.of(&turns[j]))
			}
		}
	}
	v.Ratio, v.Low, v.High = median(ratios), slices.Min(ratios), slices.Max(ratios)
	switch {
	case b.atMost > 0:
		v.Bar, v.Reached = fmt.Sprintf("<= %g", b.atMost), v.Ratio <= b.atMost
	default:
		v.Bar, v.Reached = fmt.Sprintf(">= %g", b.atLeast), v.Ratio >= b.atLeast
	}
	return v
}

func (m metric) of(t *turn) float64 {
	if m == p99 {
		return float64(t.Result.P99)
	}
	return t.Result.Rate()
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// writeTo prints the report as Markdown.
func (r *report) writeTo(w io.Writer) error {
	var b strings.Builder
	r.Machine.write(&b)
	fmt.Fprintf(&b, "\nMedians of %d rounds in which the contenders took turns, lowest and highest in brackets; ratios are taken round by round. Servers and publisher are processes of their own on one machine; server and publisher time are processor time a message, start and warm-up included.\n", r.Rounds)
	for i := range r.Comparisons {
		r.Comparisons[i].write(&b)
	}
	if len(r.WAL) > 0 {
		wal.WriteTable(&b, r.WAL)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *summary) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s: %s\n\n| contender | messages | acks/s | p50 | p99 | server | publisher |\n| --- | --- | --- | --- | --- | --- | --- |\n", s.ID, s.Title)
	for _, r := range s.Rows {
		fmt.Fprintf(b, "| %s | %s | %s (%s to %s) | %s | %s | %.2f us | %.2f us |\n", r.Contender, grouped(float64(r.Messages)),
			grouped(r.Rate), grouped(r.Low), grouped(r.High), milliseconds(r.P50), milliseconds(r.P99), r.ServerMicroseconds, r.ClientMicroseconds)
	}
	if len(s.Bars) == 0 {
		return
	}
	b.WriteString("\n| ratio | measured | bar | |\n| --- | --- | --- | --- |\n")
	for _, v := range s.Bars {
		word := "ok"
		if !v.Reached {
			word = "SHORT"
		}
		fmt.Fprintf(b, "| %s of %s / %s | %.2f (%.2f to %.2f) | %s | %s |\n", v.Metric, v.Subject, v.Reference, v.Ratio, v.Low, v.High, v.Bar, word)
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

// grouped writes a whole number with commas.
func grouped(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
