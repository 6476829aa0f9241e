package wal

import (
	"context"
	"errors"

	"github.com/aof-nats/aof-nats/engine"
)

// engineLog is this project's engine with its default options, without the tiers
// that the other logs do not have.
type engineLog struct {
	engine *engine.Engine
	log    *engine.Log
	level  engine.Level
	batch  []engine.Record
}

func openEngine(dir string) (appender, error)         { return openEngineAt(dir, engine.Durable) }
func openEngineUnsynced(dir string) (appender, error) { return openEngineAt(dir, engine.Written) }

func openEngineAt(dir string, level engine.Level) (appender, error) {
	opened, err := engine.Open(dir, engine.Options{WarmBytesMax: engine.NoWarm})
	if err != nil {
		return nil, err
	}
	log, err := opened.OpenLog("BENCH", engine.LogOptions{})
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return &engineLog{engine: opened, log: log, level: level}, nil
}

func (e *engineLog) append(payload []byte, records int) error {
	e.batch = e.batch[:0]
	for range records {
		e.batch = append(e.batch, engine.Record{Payload: payload, Timestamp: 1})
	}
	for {
		first, err := e.log.AppendBatch(e.batch, engine.BatchOptions{})
		if err == nil {
			return e.log.Wait(context.Background(), first+uint64(records)-1, e.level)
		}
		if !errors.Is(err, engine.ErrBackpressure) {
			return err
		}
		if err := e.log.Wait(context.Background(), e.log.Watermarks().Appended, engine.Durable); err != nil {
			return err
		}
	}
}

func (e *engineLog) close() error { return e.engine.Close() }
