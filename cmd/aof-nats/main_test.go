package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if buildDir != "" && os.RemoveAll(buildDir) != nil {
			code = 1
		}
		os.Exit(code)
	}))
}
