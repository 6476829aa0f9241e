package bridge

// replayReplyBytesMax bounds the reply subject of a replay: the line of a mark also
// holds the subject that is to be answered on.
const replayReplyBytesMax = 3000

// mayPublishBelow decides whether the bridge may publish on a subject and on
// all those below it, which a log may capture although it does not capture the
// subject itself.
func (p *publishPolicy) mayPublishBelow(subject []byte) bool {
	if len(subject) > replayReplyBytesMax || !p.mayPublish(subject) {
		return false
	}
	below := string(subject) + ".>"
	if patternsOverlap(below, p.prefix) || patternsOverlap(below, p.prefix+".>") {
		return false
	}
	for _, pattern := range p.patterns {
		if patternsOverlap(below, pattern) {
			return false
		}
	}
	return true
}
