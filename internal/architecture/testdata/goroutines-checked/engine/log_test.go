package engine

import "testing"

func TestAppend(t *testing.T) {}
