package command

import (
	"fmt"
	"io"
	"time"
)

const progressInterval = 100 * time.Millisecond

// progress is a line that is written again and again while long work runs, on a
// terminal only. It is for one goroutine at a time.
type progress struct {
	out   io.Writer // nil: nobody looks
	last  time.Time
	shown bool
}

func (a *app) newProgress() *progress {
	if !isTerminal(a.env.Stderr) {
		return &progress{}
	}
	return &progress{out: a.env.Stderr}
}

// update shows a line, unless the last one is too fresh.
func (p *progress) update(line func() string) {
	if p.out == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.last) < progressInterval {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.out, "\r\x1b[K%s", line())
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}
