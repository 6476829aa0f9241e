package command

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// heldWriter writes nothing until it is released.
type heldWriter struct {
	release chan struct{}
	text    bytes.Buffer
}

func (w *heldWriter) Write(p []byte) (int, error) {
	<-w.release
	return w.text.Write(p)
}

func TestALogThatIsNotReadDropsLinesAndSaysHowMany(t *testing.T) {
	out := &heldWriter{release: make(chan struct{})}
	log := newLogWriter(out, func(lines uint64) { fmt.Fprintf(&out.text, "dropped %d\n", lines) })
	const beyond = 10
	for i := range logLinesMax + beyond {
		fmt.Fprintf(log, "line %d\n", i)
	}
	dropped := log.dropped.Load()
	if dropped < beyond-1 || dropped > beyond { // one line may have been taken out
		t.Errorf("%d lines were dropped", dropped)
	}
	close(out.release)
	log.close()
	text := out.text.String()
	if !strings.HasPrefix(text, fmt.Sprintf("line 0\ndropped %d\nline 1\n", dropped)) || strings.Count(text, "line ") != logLinesMax+beyond-int(dropped) {
		t.Errorf("the log is %.200q", text)
	}
	fmt.Fprintln(log, "late")
	if got := log.dropped.Load(); got != dropped+1 {
		t.Errorf("%d lines were dropped", got)
	}
}

func TestTheEndDoesNotWaitForALogThatIsNotRead(t *testing.T) {
	out := &heldWriter{release: make(chan struct{})}
	log := newLogWriter(out, func(uint64) {})
	fmt.Fprintln(log, "line")
	log.close()
	close(out.release)
	<-log.ended
}

// brokenWriter is a pipe whose reader has gone.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestALogThatCannotBeWrittenIsCounted(t *testing.T) {
	log := newLogWriter(brokenWriter{}, func(uint64) { t.Error("told to nobody") })
	fmt.Fprintln(log, "line")
	log.close()
	if got := log.dropped.Load(); got != 1 {
		t.Errorf("%d lines were dropped", got)
	}
}
