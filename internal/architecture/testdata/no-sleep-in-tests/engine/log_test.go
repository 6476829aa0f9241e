package engine

import (
	"testing"
	"time"
)

func TestSeal(t *testing.T) {
	<-time.After(time.Second)
	time.Sleep(time.Second) // want "time.Sleep is not for tests"
}
