package engine

import "bytes"

// MatchSubject reports whether subject matches filter: tokens are separated by
// dots, '*' stands for one token and a last '>' for one or more.
func MatchSubject(filter, subject []byte) bool {
	for {
		want, restFilter, moreFilter := bytes.Cut(filter, dot)
		if len(want) == 1 && want[0] == '>' && !moreFilter {
			return len(subject) > 0
		}
		have, restSubject, moreSubject := bytes.Cut(subject, dot)
		if !(len(want) == 1 && want[0] == '*' && len(have) > 0) && !bytes.Equal(want, have) {
			return false
		}
		if !moreFilter || !moreSubject {
			return moreFilter == moreSubject
		}
		filter, subject = restFilter, restSubject
	}
}

var dot = []byte{'.'}

// isLiteral reports whether a filter names one subject.
func isLiteral(filter []byte) bool {
	for len(filter) > 0 {
		token, rest, _ := bytes.Cut(filter, dot)
		if len(token) == 1 && (token[0] == '*' || token[0] == '>') {
			return false
		}
		filter = rest
	}
	return true
}
