package engine

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// naiveMatch is the rule of NATS, token by token.
func naiveMatch(filter, subject string) bool {
	want, have := strings.Split(filter, "."), strings.Split(subject, ".")
	if subject == "" {
		return filter == ""
	}
	for i, token := range want {
		switch {
		case token == ">" && i == len(want)-1:
			return len(have) > i && strings.Join(have[i:], ".") != ""
		case i >= len(have):
			return false
		case token == "*" && have[i] != "":
		case token != have[i]:
			return false
		}
	}
	return len(want) == len(have)
}

func TestMatchSubject(t *testing.T) {
	cases := []struct {
		filter, subject string
		want            bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a.b", false}, {"a.b", "a", false}, {"a.b", "a.b", true},
		{"*", "a", true}, {"*", "a.b", false}, {"a.*", "a.b", true}, {"a.*", "a", false}, {"*.*", "a.b", true}, {"*.b", "a.c", false},
		{">", "a", true}, {">", "a.b.c", true}, {"a.>", "a.b", true}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {"b.>", "a.b", false},
		{"*.>", "a.b", true}, {"*.>", "a", false}, {"a.*.>", "a.b", false}, {"a.*.>", "a.b.c", true},
		{"a.>.b", "a.x.b", false}, {"a.>.b", "a.>.b", true}, // only a last '>' is a wildcard
		{"a*", "ab", false}, {"a*", "a*", true}, {"a.>x", "a.>x", true}, {"a.>x", "a.b", false}, // nor is a part of a token
		{"*", "", false}, {">", "", false}, {"a.*", "a.", false}, {"a..b", "a..b", true},
		{"a.*", "a.*", true}, {"a.>", "a.>", true}, {"a.b", "a.*", false},
	}
	for _, c := range cases {
		if got := MatchSubject([]byte(c.filter), []byte(c.subject)); got != c.want {
			t.Errorf("%q on %q: %v", c.filter, c.subject, got)
		}
		if got := naiveMatch(c.filter, c.subject); got != c.want {
			t.Errorf("the naive rule says %v for %q on %q", got, c.filter, c.subject)
		}
	}
}

func TestMatchSubjectAnswersLikeTheNaiveRule(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	tokens := []string{"a", "b", "ab", "*", ">", "", "*a", ">>"}
	name := func() string {
		parts := make([]string, 1+random.IntN(4))
		for i := range parts {
			parts[i] = tokens[random.IntN(len(tokens))]
		}
		return strings.Join(parts, ".")
	}
	matched := 0
	for range 30_000 {
		filter, subject := name(), name()
		want := naiveMatch(filter, subject)
		if got := MatchSubject([]byte(filter), []byte(subject)); got != want {
			t.Fatalf("%q on %q: %v", filter, subject, got)
		}
		if want {
			matched++
		}
		if want && isLiteral([]byte(filter)) && filter != subject {
			t.Fatalf("literal %q matches %q", filter, subject)
		}
	}
	if matched < 1000 {
		t.Errorf("only %d pairs matched", matched)
	}
}

func FuzzMatchSubject(f *testing.F) {
	for _, seed := range [][2]string{{"a.*", "a.b"}, {">", "a"}, {"a.>", "a.b.c"}, {"..", "*.>"}, {"", ""}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, filter, subject string) {
		if got, want := MatchSubject([]byte(filter), []byte(subject)), naiveMatch(filter, subject); got != want {
			t.Errorf("%q on %q: %v, the naive rule says %v", filter, subject, got, want)
		}
	})
}
