package wal

import (
	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
)

// raftLog is hashicorp/raft-wal with its default options: each call syncs.
type raftLog struct {
	wal   *raftwal.WAL
	next  uint64
	batch []*raft.Log
}

func openRaftWAL(dir string) (appender, error) {
	opened, err := raftwal.Open(dir)
	if err != nil {
		return nil, err
	}
	return &raftLog{wal: opened, next: 1}, nil
}

func (r *raftLog) append(payload []byte, records int) error {
	r.batch = r.batch[:0]
	for range records {
		r.batch = append(r.batch, &raft.Log{Index: r.next, Term: 1, Data: payload})
		r.next++
	}
	return r.wal.StoreLogs(r.batch)
}

func (r *raftLog) close() error { return r.wal.Close() }
