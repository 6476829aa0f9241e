package bucket

import "fmt"

// Kind says what a failed call means to its caller.
type Kind uint8

// The kinds. Those that are retried are transient, unavailable and throttled.
const (
	// KindTransient is a failure that may be gone at once.
	KindTransient Kind = iota + 1
	// KindUnavailable means that the store, or the way to it, does not answer.
	KindUnavailable
	// KindAuth means that the store refuses this caller. It needs an operator.
	KindAuth
	// KindThrottled means that the store asks for fewer requests.
	KindThrottled
	// KindMissing means that there is no such object.
	KindMissing
	// KindExists means that the key has an object already.
	KindExists
	// KindNoSpace means that the store is full.
	KindNoSpace
	// KindPermanent is a failure that the same call will meet again.
	KindPermanent
	// KindCancelled means that the caller's context ended.
	KindCancelled
)

var kinds = []struct {
	name    string
	retried bool
	// hint is the next step for a person, or empty.
	hint string
}{
	KindTransient:   {"transient failure", true, ""},
	KindUnavailable: {"store unavailable", true, "check the network and the state of the store"},
	KindAuth:        {"not authorized", false, "check the credentials and the permissions on the bucket"},
	KindThrottled:   {"throttled", true, "lower the request rate or raise the store's limit"},
	KindMissing:     {"no such object", false, ""},
	KindExists:      {"object exists already", false, ""},
	KindNoSpace:     {"store is full", false, "free space in the store"},
	KindPermanent:   {"permanent failure", false, ""},
	KindCancelled:   {"given up", false, ""},
}

// String names the kind for people.
func (k Kind) String() string {
	if int(k) < len(kinds) && kinds[k].name != "" {
		return kinds[k].name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (k Kind) isRetried() bool { return int(k) < len(kinds) && kinds[k].retried }
