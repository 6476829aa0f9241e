package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/aof-nats/aof-nats/internal/exactjson"
)

// This file is the claims that fence a stale owner of a log. Epochs start at 1.

const (
	claimFormat   = 1
	claimBytesMax = 4096
)

// Owner is who claims an epoch.
type Owner struct {
	// Name is for people.
	Name string
	// Token tells owners apart. It is random, and new for each ownership.
	Token string
}

// claim is the body of a claim's object.
type claim struct {
	Format  int       `json:"format"`
	Epoch   uint64    `json:"epoch"`
	Owner   string    `json:"owner"`
	Token   string    `json:"token"`
	Claimed time.Time `json:"claimed"`
}

// FencedError says that an epoch is claimed by another owner. It matches
// ErrFenced.
type FencedError struct {
	// Folder is the log's.
	Folder string
	// Epoch is the one that is claimed.
	Epoch uint64
	// Holder is who claimed it, empty if its claim cannot be read.
	Holder Owner
	// Claimed is when, by the holder's clock.
	Claimed time.Time
}

// Error names the holder.
func (e *FencedError) Error() string {
	holder := "an owner whose claim cannot be read"
	if e.Holder.Token != "" {
		holder = fmt.Sprintf("%q since %s", e.Holder.Name, e.Claimed.Format(time.RFC3339))
	}
	return fmt.Sprintf("%v: epoch %d of %s is claimed by %s", ErrFenced, e.Epoch, e.Folder, holder)
}

// Is matches ErrFenced.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// Claim takes an epoch for an owner. A claim of the same token is found again,
// so Claim may be repeated after an unclear failure. If another holds it, the
// error is a FencedError; after any other error it is not known who does.
func (f *Folder) Claim(ctx context.Context, epoch uint64, owner Owner) error {
	if epoch == 0 || owner.Token == "" {
		err := fmt.Errorf("%w: claim of epoch %d with the token %q", ErrInvalid, epoch, owner.Token)
		return &Error{Op: OpPut, Key: f.prefix + EpochKey(epoch), Kind: KindPermanent, Err: err}
	}
	body, err := json.Marshal(claim{claimFormat, epoch, owner.Name, owner.Token, f.bucket.opts.Now().UTC()})
	if err != nil {
		return fmt.Errorf("encode claim: %w", err)
	}
	if len(body) > claimBytesMax {
		err := fmt.Errorf("%w: claim of %d bytes, at most %d", ErrInvalid, len(body), claimBytesMax)
		return &Error{Op: OpPut, Key: f.prefix + EpochKey(epoch), Kind: KindPermanent, Err: err}
	}
	_, err = f.Put(ctx, EpochKey(epoch), func(w io.Writer) error {
		_, err := w.Write(body)
		return err
	})
	if !errors.Is(err, ErrExists) {
		return err
	}
	held, err := f.Holder(ctx, epoch)
	if err != nil {
		return err
	}
	if held.Holder.Token == owner.Token {
		return nil
	}
	return held
}

// Superseded asks whether the next epoch is claimed. Nil means that it was not:
// the owner of this epoch still owns the log. A FencedError means that it is;
// after any other error it is not known.
func (f *Folder) Superseded(ctx context.Context, epoch uint64) error {
	if epoch == math.MaxUint64 {
		return nil // there is no next one
	}
	held, err := f.Holder(ctx, epoch+1)
	switch {
	case errors.Is(err, ErrMissing):
		return nil
	case err != nil:
		return err
	default:
		return held
	}
}

// Holder reads the claim of an epoch; the error matches ErrMissing if there is
// none. One that cannot be read is still a claim.
func (f *Folder) Holder(ctx context.Context, epoch uint64) (*FencedError, error) {
	held := &FencedError{Folder: f.prefix, Epoch: epoch}
	body, err := f.ReadAll(ctx, EpochKey(epoch), claimBytesMax)
	if errors.Is(err, ErrTooLarge) {
		return held, nil
	}
	if err != nil {
		return nil, err
	}
	if read, ok := decodeClaim(body, epoch); ok {
		held.Holder, held.Claimed = Owner{read.Owner, read.Token}, read.Claimed
	}
	return held, nil
}

// decodeClaim reads the claim of that epoch. The length of body is bounded.
func decodeClaim(body []byte, epoch uint64) (claim, bool) {
	var read claim
	if exactjson.Unmarshal(body, &read) != nil || read.Format != claimFormat || read.Epoch != epoch || read.Token == "" {
		return claim{}, false
	}
	return read, true
}

// HighestEpoch is the highest epoch that was ever claimed, 0 if none was.
func (f *Folder) HighestEpoch(ctx context.Context) (uint64, error) {
	highest := uint64(0)
	for object, err := range f.List(ctx, EpochsPrefix) {
		if err != nil {
			return 0, err
		}
		if epoch, ok := ParseEpochKey(object.Key); ok {
			highest = max(highest, epoch)
		}
	}
	return highest, nil
}
