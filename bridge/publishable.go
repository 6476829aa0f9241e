package bridge

// replyBytesMax bounds a reply subject. Servers refuse protocol lines of more than
// 4 KiB, unless they are configured otherwise, and close the connection that sends
// one: beside the subject a line has room for the sizes of an answer.
const replyBytesMax = 4000

// publishPolicy decides where the bridge may publish. Every subject that
// somebody else named goes through it: otherwise a publisher could make the
// bridge call an API with its own rights, or loop.
type publishPolicy struct {
	prefix   string
	patterns []string // that logs capture
	captured *subjectSet
}

func newPublishPolicy(logs []LogConfig, prefix string) *publishPolicy {
	var patterns []string
	for _, log := range logs {
		patterns = append(patterns, log.Subjects...)
	}
	return &publishPolicy{prefix: prefix, patterns: patterns, captured: newSubjectSet(patterns)}
}

// mayPublish is the one function that decides it. It refuses what is no literal
// subject, a first token that begins with '$' (the server's own APIs), the
// bridge's prefix, and whatever one of the logs captures.
func (p *publishPolicy) mayPublish(subject []byte) bool {
	if len(subject) == 0 || len(subject) > replyBytesMax || subject[0] == '$' || !isLiteralSubject(subject) {
		return false
	}
	if hasPrefix(subject, p.prefix) && (len(subject) == len(p.prefix) || subject[len(p.prefix)] == '.') {
		return false
	}
	return hasPrefix(subject, "_INBOX.") || !p.captured.matches(subject) // no log can capture an inbox
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// isLiteralSubject reports whether a subject has no empty token, no token that
// is a wildcard, no blank and no control character.
func isLiteralSubject(subject []byte) bool {
	start := 0
	for i, b := range subject {
		switch {
		case b == '.':
			if !isLiteralToken(subject[start:i]) {
				return false
			}
			start = i + 1
		case b <= ' ' || b == 0x7f:
			return false
		}
	}
	return isLiteralToken(subject[start:])
}

func isLiteralToken(token []byte) bool {
	return len(token) > 1 || len(token) == 1 && token[0] != '*' && token[0] != '>'
}
