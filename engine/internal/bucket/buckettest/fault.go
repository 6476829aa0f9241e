package buckettest

import (
	"errors"
	"path"
	"strings"
	"time"

	"gocloud.dev/gcerrors"
)

// Op is a kind of request, or in a Rule a set of them joined with |.
type Op uint8

// The kinds of request.
const (
	OpPut Op = 1 << iota
	OpGet
	OpHead
	OpList
	OpDelete

	// OpReads is everything that changes nothing.
	OpReads = OpGet | OpHead | OpList
)

// Fault is how a request fares badly.
type Fault uint8

// The faults.
const (
	// Fail does nothing and answers Err.
	Fail Fault = iota
	// LoseAnswer does what was asked, and answers Err.
	LoseAnswer
	// Lose does nothing and answers success. Of a put or delete.
	Lose
	// Shorten keeps or delivers the first Bytes bytes and answers success. Of a
	// put or get.
	Shorten
	// Break takes or delivers Bytes bytes, then answers Err. Of a put or get.
	Break
	// Repeat does what was asked twice, as a client does that repeats a request
	// by itself, and answers with the second outcome. Of a put or delete.
	Repeat
	// Late answers Err, or success if that is nil, and does what was asked when
	// Settle is called. Of a put or delete.
	Late
	// Hide does what was asked; the next Reads requests about the key, and all
	// listings meanwhile, do not find it. Of a put.
	Hide
	// Hang answers when the caller's context ends, with its error.
	Hang
	// Overwrite ignores that a key must be new. Of a put.
	Overwrite
	// None does what was asked, after the Delay.
	None
)

// Rule says which requests meet which fault.
type Rule struct {
	// Op is the kinds that it is for; 0 is all.
	Op Op
	// KeyPattern is compared with as many parts at the end of the key as it has
	// itself, as path.Match does. Empty is every key.
	KeyPattern string
	// After is how many matching requests pass first.
	After int
	// Every applies it to every so manieth of those that follow; 0 is each.
	Every int
	// Times is how many it then applies to; 0 is all.
	Times int

	Fault Fault
	// Err is what is answered, ErrTransient if it is nil and one is needed.
	Err   error
	Bytes int
	Reads int
	// Delay is waited for first, in the function of SetWait.
	Delay time.Duration
}

// codedError is an error that a driver has a code for.
type codedError struct {
	text string
	code gcerrors.ErrorCode
}

func (e *codedError) Error() string { return "buckettest: " + e.text }

// Errors as stores answer them.
var (
	ErrTransient   error = &codedError{"internal error", gcerrors.Internal}
	ErrTimeout     error = &codedError{"request timed out", gcerrors.DeadlineExceeded}
	ErrThrottled   error = &codedError{"slow down", gcerrors.ResourceExhausted}
	ErrAuth        error = &codedError{"access denied", gcerrors.PermissionDenied}
	ErrInvalid     error = &codedError{"malformed request", gcerrors.InvalidArgument}
	errNotFound    error = &codedError{"no such key", gcerrors.NotFound}
	errUnsupported error = &codedError{"not supported", gcerrors.Unimplemented}
)

func codeOf(err error) gcerrors.ErrorCode {
	var coded *codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return gcerrors.Code(err)
}

// ActiveRule is a rule at work.
type ActiveRule struct {
	rule    Rule
	owner   *Faulty
	matched int
	applied int
}

// Applied counts the requests that the rule was applied to.
func (r *ActiveRule) Applied() int {
	r.owner.mu.Lock()
	defer r.owner.mu.Unlock()
	return r.applied
}

func (r *ActiveRule) appliesLocked(op Op, key string) bool {
	if r.rule.Op != 0 && r.rule.Op&op == 0 || !matchesEnd(r.rule.KeyPattern, key) {
		return false
	}
	r.matched++
	turn := r.matched - r.rule.After
	if turn <= 0 || r.rule.Every > 0 && turn%r.rule.Every != 0 || r.rule.Times > 0 && r.applied >= r.rule.Times {
		return false
	}
	r.applied++
	return true
}

// matchesEnd compares a pattern with the last parts of a key.
func matchesEnd(pattern, key string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(key, "/")
	parts = parts[max(0, len(parts)-strings.Count(pattern, "/")-1):]
	matched, err := path.Match(pattern, strings.Join(parts, "/"))
	return matched && err == nil
}
