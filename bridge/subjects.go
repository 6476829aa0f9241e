package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrSubject is matched by the errors about subjects of logs: not valid, not
// allowed, or overlapping.
var ErrSubject = errors.New("bridge: subject not possible for a log")

// foreignSubjects belong to NATS itself; no log may capture them.
var foreignSubjects = []string{"_INBOX.>", "_R_.>", "$JS.>", "$JSC.>", "$NRG.>", "$SYS.>", "$SRV.>"}

// validatePattern checks a subject that may hold wildcards.
func validatePattern(pattern string) error {
	if pattern == "" {
		return fmt.Errorf("%w: it is empty", ErrSubject)
	}
	if strings.ContainsFunc(pattern, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: %q holds a blank or control character", ErrSubject, pattern)
	}
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return fmt.Errorf("%w: %q has an empty token", ErrSubject, pattern)
		case token == ">" && i < len(tokens)-1:
			return fmt.Errorf("%w: %q has a token behind '>'", ErrSubject, pattern)
		}
	}
	return nil
}

// patternsOverlap reports whether one subject can match both patterns.
func patternsOverlap(a, b string) bool {
	for {
		tokenA, restA, moreA := strings.Cut(a, ".")
		tokenB, restB, moreB := strings.Cut(b, ".")
		if tokenA == ">" || tokenB == ">" {
			return true
		}
		if tokenA != tokenB && tokenA != "*" && tokenB != "*" {
			return false
		}
		if !moreA || !moreB {
			return moreA == moreB
		}
		a, b = restA, restB
	}
}

// validateLogSubjects checks the subjects of all logs together: each on its
// own, against what belongs to NATS and to the bridge, and against each other.
func validateLogSubjects(logs []LogConfig, prefix string) error {
	type claim struct{ log, pattern string }
	var claims []claim
	reserved := append(slices.Clone(foreignSubjects), prefix, prefix+".>")
	for _, log := range logs {
		if len(log.Subjects) == 0 {
			return fmt.Errorf("%w: log %s has no subject", ErrSubject, log.Name)
		}
		for _, pattern := range log.Subjects {
			if err := validatePattern(pattern); err != nil {
				return fmt.Errorf("log %s: %w", log.Name, err)
			}
			if i := slices.IndexFunc(reserved, func(r string) bool { return patternsOverlap(r, pattern) }); i >= 0 {
				return fmt.Errorf("%w: %s of log %s overlaps %s, which is reserved", ErrSubject, pattern, log.Name, reserved[i])
			}
			for _, other := range claims {
				if patternsOverlap(other.pattern, pattern) {
					return fmt.Errorf("%w: %s of log %s overlaps %s of log %s: each message would be stored twice",
						ErrSubject, pattern, log.Name, other.pattern, other.log)
				}
			}
			claims = append(claims, claim{log: log.Name, pattern: pattern})
		}
	}
	return nil
}

// subjectSet answers whether a subject matches any of many patterns, without
// allocating and in time that does not grow with their number. It does not
// change once it is built.
type subjectSet struct {
	literal map[string]*subjectSet
	any     *subjectSet // behind '*'
	tail    bool        // '>' stands here
	end     bool        // a pattern ends here
}

func newSubjectSet(patterns []string) *subjectSet {
	root := &subjectSet{}
	for _, pattern := range patterns {
		root.add(pattern)
	}
	return root
}

func (s *subjectSet) add(pattern string) {
	node := s
	for token := range strings.SplitSeq(pattern, ".") {
		switch token {
		case ">":
			node.tail = true
			return
		case "*":
			if node.any == nil {
				node.any = &subjectSet{}
			}
			node = node.any
		default:
			if node.literal == nil {
				node.literal = make(map[string]*subjectSet)
			}
			next := node.literal[token]
			if next == nil {
				next = &subjectSet{}
				node.literal[token] = next
			}
			node = next
		}
	}
	node.end = true
}

// matches reports whether a subject without wildcards is in the set.
func (s *subjectSet) matches(subject []byte) bool {
	if s.tail {
		return true
	}
	token, rest, more := subject, []byte(nil), false
	for i, b := range subject {
		if b == '.' {
			token, rest, more = subject[:i], subject[i+1:], true
			break
		}
	}
	for _, next := range [2]*subjectSet{s.literal[string(token)], s.any} {
		if next == nil {
			continue
		}
		if more && next.matches(rest) || !more && next.end {
			return true
		}
	}
	return false
}
