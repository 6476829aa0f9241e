package disk

import (
	"errors"
	"os"
	"testing"
)

func TestMemoryIsNoDisk(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err != nil {
		t.Log("this system has no /dev/shm")
		return
	}
	if name, err := FileSystem("/dev/shm"); !errors.Is(err, ErrMemory) {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestSyncTimeLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	median, err := SyncTime(dir)
	if err != nil || median <= 0 {
		t.Fatalf("got %s, %v", median, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}
