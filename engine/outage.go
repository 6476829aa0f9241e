package engine

import (
	"errors"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
)

// outage keeps moves away from a bucket that does not answer: after a failure
// none is tried for a while, then one, and the first that succeeds ends it.
type outage struct {
	attempts  int // failures in a row; 0: the bucket answers
	notBefore time.Time
	began     time.Time
	cause     error // of the last failure
}

// The delays between tries during an outage.
const (
	outageDelayMin = time.Second
	outageDelayMax = 30 * time.Second
)

func (o *outage) mayTry(now time.Time) bool { return o.attempts == 0 || !now.Before(o.notBefore) }

func (o *outage) begin(now time.Time, cause error, uniform func() float64) {
	if o.attempts == 0 {
		o.began = now
	}
	o.attempts++
	o.cause = cause
	delay := outageDelayMin << min(o.attempts-1, 10)
	delay = min(delay, outageDelayMax)
	o.notBefore = now.Add(delay/2 + time.Duration(uniform()*float64(delay/2)))
}

// end notes a success and reports whether it ended an outage.
func (o *outage) end() bool {
	ended := o.attempts > 0
	*o = outage{}
	return ended
}

// errBucketSilent says that the bucket did not answer within bucketPatience.
var errBucketSilent = errors.New("engine: the bucket does not answer")

// isOutage reports whether a failure says that the bucket does not answer.
func isOutage(err error) bool {
	switch bucket.KindOf(err) {
	case bucket.KindUnavailable, bucket.KindThrottled, bucket.KindTransient, bucket.KindAuth, bucket.KindNoSpace:
		return true
	}
	return errors.Is(err, errBucketSilent) || errors.Is(err, errOtherBucket) || errors.Is(err, bucket.ErrUnfenced)
}
