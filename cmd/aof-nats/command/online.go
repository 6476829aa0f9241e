package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aof-nats/aof-nats/bridge/client"
	"github.com/aof-nats/aof-nats/engine"
)

// readOnline prints the records that a bridge delivers.
func (a *app) readOnline(ctx context.Context, name string, s *selection, o client.ReplayOptions) (err error) {
	if err := engine.ValidateLogName(name); err != nil {
		return usage(err)
	}
	out := bufio.NewWriterSize(a.env.Stdout, outputBufferBytes)
	records, err := newRecordWriter(out, s.format, s.delimiter)
	if err != nil {
		return err
	}
	where, err := s.connection.options(a.env.Getenv)
	if err != nil {
		return err
	}
	where.Reconnect = true
	c, err := client.Connect(ctx, where)
	if err != nil {
		return fmt.Errorf("%w; start its server, name another with -s, or read the files with --root DIR", err)
	}
	defer c.Close()
	skipped := 0
	o.Subjects, o.RecordsMax = s.subjects, s.limit
	if s.skipDamaged {
		o.OnDamaged = func(damage *client.DamagedError) {
			skipped++
			fmt.Fprintf(a.env.Stderr, "skipped: %s\n", describeDamage((*engine.DamageError)(damage)))
		}
	}
	replay, err := c.Replay(name, o)
	if err != nil {
		return err
	}
	defer replay.Close()
	err = errors.Join(printReplay(ctx, replay, out, records), out.Flush())
	if o.Follow && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // that is how following ends
	}
	if err == nil && skipped > 0 {
		return &skippedError{ranges: skipped}
	}
	return explainDamage(err)
}

// printReplay prints until the end. What is printed is not held back while the
// next record is waited for.
func printReplay(ctx context.Context, replay *client.Replay, out *bufio.Writer, records recordWriter) error {
	for {
		if replay.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		delivered, err := replay.Next(ctx)
		var damage *client.DamagedError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &damage):
			return (*engine.DamageError)(damage)
		case err != nil:
			return err
		}
		rec, err := recordOf(&delivered)
		if err != nil {
			return fmt.Errorf("record %d: %w", delivered.Seq, err)
		}
		if err := records.write(&rec); err != nil {
			return err
		}
	}
}

// recordOf is a delivered record in the form in which a log stores it.
func recordOf(delivered *client.Record) (engine.Record, error) {
	headers, err := engine.EncodeHeaders(delivered.Header)
	return engine.Record{
		Seq: delivered.Seq, Timestamp: delivered.Time.UnixNano(), ExtID: delivered.ExtID,
		Subject: []byte(delivered.Subject), Headers: headers, Payload: delivered.Data,
	}, err
}

// replayFrom is where a replay begins and ends.
func replayFrom(o *engine.ReadOptions) client.ReplayOptions {
	replay := client.ReplayOptions{FromSeq: o.FromSeq, FromRecordID: uint64(o.FromRecordID), ToSeq: o.ToSeq}
	if o.FromTime != 0 {
		replay.FromTime = time.Unix(0, o.FromTime).UTC()
	}
	return replay
}
