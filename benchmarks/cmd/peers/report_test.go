package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aof-nats/aof-nats/benchmarks/internal/load"
)

func turnOf(contender string, round int, rate float64) turn {
	return turn{Contender: contender, Round: round, Result: load.Result{
		Messages: int(rate), Elapsed: time.Second, P99: time.Duration(rate) * time.Microsecond,
	}}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	turns := []turn{
		turnOf("ours", 0, 200), turnOf("theirs", 0, 100),
		turnOf("ours", 1, 30), turnOf("theirs", 1, 10),
		turnOf("theirs", 2, 1000), turnOf("ours", 2, 1000),
	}
	rate := judge(bar{subject: "ours", reference: "theirs", metric: acksPerSecond, atLeast: 2}, turns)
	if rate.Ratio != 2 || rate.Low != 1 || rate.High != 3 || !rate.Reached {
		t.Errorf("got %+v, want the median 2 of 1, 2 and 3", rate)
	}
	latency := judge(bar{subject: "ours", reference: "theirs", metric: p99, atMost: 1.5}, turns)
	if latency.Ratio != 2 || latency.Reached {
		t.Errorf("got %+v, want 2, which is above 1.5", latency)
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{5: {5}, 2.5: {4, 1, 3, 2}, 3: {9, 3, 1}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestBarsOfContendersThatAreLeftOutGoToo(t *testing.T) {
	c := asyncComparison(&options{ours: builds{{"aof-nats", "x"}}, scale: 1})
	c.keep(regexp.MustCompile("aof-nats|default"))
	if len(c.contenders) != 2 || len(c.bars) != 1 || c.bars[0].reference != jetStreamDefault {
		t.Errorf("kept %d contenders and the bars %+v", len(c.contenders), c.bars)
	}
}

func TestTableReplacesTheOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(path, []byte("above\n"+tableBegins+"\nold\n"+tableEnds+"\nbelow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	turns := []turn{turnOf("ours", 0, 1234567)}
	c := comparison{ID: "P0", Title: "nothing", contenders: []contender{{name: "ours", job: load.Job{Messages: 10}}}}
	r := &report{Rounds: 1, Comparisons: []summary{summarise(&c, turns)}}
	for range 2 { // a second time gives the same
		if err := r.replaceIn(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"above\n" + tableBegins, tableEnds + "\nbelow\n", "| ours | 10 | 1,234,567 (1,234,567 to 1,234,567) |"} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("the document does not hold once %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("the old table is still there")
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.replaceIn(path); err == nil {
		t.Error("a document without marks was changed")
	}
}
