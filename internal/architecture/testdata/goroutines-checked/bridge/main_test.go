package bridge // want "bridge has tests but no TestMain"

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { os.Exit(m.Run()) }

func TestServe(t *testing.T) { goleak.VerifyNone(t) }
