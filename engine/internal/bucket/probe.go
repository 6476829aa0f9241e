package bucket

import (
	"context"
	"errors"
	"io"
)

// probeBody tells people what the object is for.
const probeBody = "aof-nats tries to create this object again to make sure that the store refuses to create a key twice. Leave it here.\n"

// Probe makes sure, once, that the store refuses to create a key that exists:
// otherwise the claims of owners mean nothing. It costs a request or two on the
// first call, none later. Put calls it by itself. A store that fails is refused
// with an error that matches ErrUnfenced, unless the options allow it.
//
// The object that it creates stays, so that the next process needs one request.
func (b *Bucket) Probe(ctx context.Context) error {
	if b.fenced.Load() {
		return nil
	}
	full := b.prefix + probeKey
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, probeBody)
		return err
	}
	for range 2 {
		err := b.call(ctx, OpPut, full, func() error {
			if b.opts.ReadOnly {
				return ErrReadOnly
			}
			_, err := b.create(ctx, full, write)
			return err
		})
		if errors.Is(err, ErrExists) {
			b.fenced.Store(true)
			return nil
		}
		if err != nil {
			return err
		}
	}
	if !b.opts.AllowUnfenced {
		return &Error{Op: OpPut, Key: full, Kind: KindPermanent, Attempts: 2, Err: ErrUnfenced}
	}
	b.opts.Logger.WarnContext(ctx, "the bucket cannot keep a stale owner out; it is used because that is allowed", "bucket", b.name)
	b.fenced.Store(true)
	return nil
}
