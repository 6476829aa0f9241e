package wal

import (
	tidwall "github.com/tidwall/wal"
)

// tidwallLog is tidwall/wal: each call syncs unless it is told not to.
type tidwallLog struct {
	wal   *tidwall.Log
	next  uint64
	batch tidwall.Batch
}

func openTidwall(dir string) (appender, error)         { return openTidwallAt(dir, false) }
func openTidwallUnsynced(dir string) (appender, error) { return openTidwallAt(dir, true) }

func openTidwallAt(dir string, unsynced bool) (appender, error) {
	options := *tidwall.DefaultOptions
	options.NoSync = unsynced
	opened, err := tidwall.Open(dir, &options)
	if err != nil {
		return nil, err
	}
	return &tidwallLog{wal: opened, next: 1}, nil
}

func (t *tidwallLog) append(payload []byte, records int) error {
	if records == 1 {
		t.next++
		return t.wal.Write(t.next-1, payload)
	}
	t.batch.Clear()
	for range records {
		t.batch.Write(t.next, payload)
		t.next++
	}
	return t.wal.WriteBatch(&t.batch)
}

func (t *tidwallLog) close() error { return t.wal.Close() }
