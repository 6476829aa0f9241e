package planner

import "time"

// The delays between tries of a move that fails.
const (
	BackoffMin = time.Second
	BackoffMax = 5 * time.Minute
)

// Backoff returns how long to wait after the attempt-th failure in a row,
// counted from 1: from BackoffMin on twice as long each time, up to BackoffMax,
// and of that between a half and all. uniform gives that share, in [0, 1): a
// source of random numbers, so that what failed together is not tried again
// together.
func Backoff(attempt int, uniform func() float64) time.Duration {
	delay := BackoffMin
	for i := 1; i < attempt && delay < BackoffMax; i++ {
		delay *= 2
	}
	delay = min(delay, BackoffMax)
	return delay/2 + time.Duration(uniform()*float64(delay/2))
}
