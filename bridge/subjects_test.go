package bridge

import (
	"errors"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine"
)

func matches(pattern, subject string) bool {
	return engine.MatchSubject([]byte(pattern), []byte(subject))
}

func logsOn(subjects ...string) []LogConfig {
	var logs []LogConfig
	for i, list := range subjects {
		logs = append(logs, LogConfig{Name: string(rune('A' + i)), Subjects: strings.Fields(list)})
	}
	return logs
}

func TestSubjectsOfLogs(t *testing.T) {
	for _, test := range []struct {
		name string
		logs []LogConfig
		ok   bool
	}{
		{"one subject", logsOn("orders"), true},
		{"wildcards", logsOn("orders.> shop.*.sold"), true},
		{"two logs", logsOn("orders.*", "orders.*.*"), true},
		{"user's API subjects", logsOn("$KV.bucket.>"), true},
		{"none", logsOn(""), false},
		{"everything", logsOn(">"), false},
		{"everything of two tokens", logsOn("*.*"), false},
		{"first token a wildcard", logsOn("*.>"), false},
		{"inboxes", logsOn("_INBOX.x"), false},
		{"JetStream's API", logsOn("$JS.API.>"), false},
		{"system", logsOn("$SYS.>"), false},
		{"services", logsOn("$SRV.PING"), false},
		{"our prefix", logsOn("AOF.API.x"), false},
		{"our prefix alone", logsOn("AOF"), false},
		{"begins like our prefix", logsOn("AOFX.a"), true},
		{"overlap within a log", logsOn("a.* a.b"), false},
		{"twice the same", logsOn("a a"), false},
		{"overlap between logs", logsOn("a.>", "a.b.c"), false},
		{"overlap of wildcards", logsOn("a.*.c", "a.b.*"), false},
		{"empty token", logsOn("a..b"), false},
		{"leading dot", logsOn(".a"), false},
		{"trailing dot", logsOn("a."), false},
		{"tail in the middle", logsOn("a.>.b"), false},
		{"control character", []LogConfig{{Name: "A", Subjects: []string{"a\tb"}}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := validateLogSubjects(test.logs, "AOF")
			if test.ok != (err == nil) || err != nil && !errors.Is(err, ErrSubject) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPatternsOverlapIffASubjectMatchesBoth(t *testing.T) {
	tokens := []string{"a", "b", "*", ">"}
	var patterns []string
	var grow func(prefix string, depth int)
	grow = func(prefix string, depth int) {
		for _, token := range tokens {
			patterns = append(patterns, prefix+token)
			if token != ">" && depth > 1 {
				grow(prefix+token+".", depth-1)
			}
		}
	}
	grow("", 3)
	var subjects []string
	for _, pattern := range patterns {
		subjects = append(subjects, strings.NewReplacer("*", "x", ">", "y.z").Replace(pattern),
			strings.NewReplacer("*", "a", ">", "b").Replace(pattern), strings.NewReplacer("*", "b", ">", "a").Replace(pattern))
	}
	for _, a := range patterns {
		for _, b := range patterns {
			common := false
			for _, subject := range subjects {
				common = common || matches(a, subject) && matches(b, subject)
			}
			if common && !patternsOverlap(a, b) {
				t.Fatalf("%s and %s: overlap not seen", a, b)
			}
			if patternsOverlap(a, b) != patternsOverlap(b, a) {
				t.Fatalf("%s and %s: not symmetric", a, b)
			}
			if patternsOverlap(a, b) && !common {
				t.Fatalf("%s and %s: no subject matches both", a, b)
			}
		}
	}
	set := newSubjectSet(patterns[:20])
	for _, subject := range subjects {
		want := false
		for _, pattern := range patterns[:20] {
			want = want || matches(pattern, subject)
		}
		if set.matches([]byte(subject)) != want {
			t.Fatalf("the set says %v of %s", !want, subject)
		}
	}
}

func TestWhereTheBridgeMayPublish(t *testing.T) {
	policy := newPublishPolicy(logsOn("orders.> shop.*", "one"), "AOF")
	for subject, want := range map[string]bool{
		"_INBOX.abc.def":           true,
		"_R_.abc":                  true,
		"answers":                  true,
		"AOFX.y":                   true,
		"shop":                     true,
		"shop.a.b":                 true,
		"a.b>c":                    true,
		"":                         false,
		"*":                        false,
		">":                        false,
		"_INBOX.*":                 false,
		"_INBOX.>":                 false,
		"a..b":                     false,
		".a":                       false,
		"a.":                       false,
		"a b":                      false,
		"a\x00b":                   false,
		"$JS.API.STREAM.DELETE.X":  false,
		"$SYS.REQ.x":               false,
		"$x":                       false,
		"AOF":                      false,
		"AOF.ADMIN.LOG.RM.orders":  false,
		"orders.new":               false,
		"shop.sold":                false,
		"one":                      false,
		strings.Repeat("x", 1<<15): false,
	} {
		if got := policy.mayPublish([]byte(subject)); got != want {
			t.Errorf("%.40q: got %v", subject, got)
		}
	}
	inbox := []byte("_INBOX.abcdefghijklmnop.123456")
	other := []byte("my.own.inbox.123456")
	if n := testing.AllocsPerRun(100, func() { policy.mayPublish(inbox); policy.mayPublish(other) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
