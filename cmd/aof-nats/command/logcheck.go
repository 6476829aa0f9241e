package command

import (
	"slices"
	"strings"

	"github.com/aof-nats/aof-nats/bridge"
	"github.com/aof-nats/aof-nats/engine"
)

// This file checks what logs are named and what they capture before a root is
// opened: a wrong call must not leave a trace on the disk.

// reservedSubjects belong to NATS itself and to the bridge.
var reservedSubjects = []string{"_INBOX.>", "_R_.>", "$JS.>", "$JSC.>", "$NRG.>", "$SYS.>", "$SRV.>", "AOF", "AOF.>"}

const (
	segmentBytesFloor = 64 << 10
	segmentBytesLimit = 2 << 30
)

// checkLogs checks all logs together.
func checkLogs(logs []bridge.LogConfig, options engine.LogOptions) error {
	if options.SegmentBytesMax < segmentBytesFloor || options.SegmentBytesMax > segmentBytesLimit {
		return usagef("--segment-bytes is not between 64KiB and 2GiB")
	}
	if options.SegmentAgeMax < 0 {
		return usagef("--segment-age is negative")
	}
	taken := make(map[string]string) // log by subject
	names := make(map[string]bool)
	for _, log := range logs {
		if err := engine.ValidateLogName(log.Name); err != nil {
			return usage(err)
		}
		if names[log.Name] {
			return usagef("--log %s is given twice: write all of its subjects in one", log.Name)
		}
		names[log.Name] = true
		for _, subject := range log.Subjects {
			if err := checkLogSubject(log.Name, subject, taken); err != nil {
				return err
			}
			taken[subject] = log.Name
		}
	}
	return nil
}

func checkLogSubject(log, subject string, taken map[string]string) error {
	if !isSubjectFilter(subject) {
		return usagef("--log %s: %q is no subject: tokens are separated by single dots, without blanks, and '>' stands last", log, subject)
	}
	for _, reserved := range reservedSubjects {
		if subjectsOverlap(reserved, subject) {
			return usagef("--log %s: %s overlaps %s, which is reserved", log, subject, reserved)
		}
	}
	for other, owner := range taken {
		if subjectsOverlap(other, subject) {
			return usagef("--log %s: %s overlaps %s of log %s: each message would be stored twice", log, subject, other, owner)
		}
	}
	return nil
}

// isSubjectFilter reports whether a subject, wildcards allowed, is well formed.
func isSubjectFilter(subject string) bool {
	if strings.ContainsFunc(subject, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	tokens := strings.Split(subject, ".")
	last := len(tokens) - 1
	return !slices.Contains(tokens, "") && !slices.Contains(tokens[:last], ">")
}

// subjectsOverlap reports whether one subject can match both filters.
func subjectsOverlap(a, b string) bool {
	tokenA, restA, moreA := strings.Cut(a, ".")
	tokenB, restB, moreB := strings.Cut(b, ".")
	switch {
	case tokenA == ">" || tokenB == ">":
		return true
	case tokenA != tokenB && tokenA != "*" && tokenB != "*":
		return false
	case !moreA || !moreB:
		return moreA == moreB
	}
	return subjectsOverlap(restA, restB)
}
