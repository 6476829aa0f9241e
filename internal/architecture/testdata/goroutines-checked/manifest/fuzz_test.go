package manifest // want "manifest has tests but no TestMain"

import "testing"

func FuzzReader(f *testing.F) {}
