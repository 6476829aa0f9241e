package engine

import (
	"path/filepath"
	"testing"
)

// A log that nobody writes to has its segments moved too: those that recovery
// sealed, and those of a root that had no bucket before.
func TestSegmentsMoveWhenALogIsOpenedAndNothingIsAppended(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	e := openOnDisk(t, root, Options{})
	l := openLogTest(t, e, smallSegments())
	appendTiered(t, l, 1, 200)
	if err := l.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openOnDisk(t, root, tieredOptions(t))
	l = openLogTest(t, e, smallSegments())
	awaitCold(t, l)
	if _, _, cold, _ := residency(l); cold < 2 {
		t.Errorf("%d segments are cold", cold)
	}
}
