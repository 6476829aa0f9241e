package buckettest

import (
	"context"
	"errors"
	"path"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// Counts is what reached the driver, faults included.
type Counts struct {
	Puts, Gets, Heads, Lists, Deletes int
	// BytesPut are those of objects that were written, BytesGot those that were
	// read from objects.
	BytesPut, BytesGot int64
}

// Faulty is a driver over a bucket. Without rules it behaves as that does. It
// does not close it. It is safe for concurrent use.
type Faulty struct {
	inner *blob.Bucket
	mu    struct {
		sync.Mutex
		rules  []*ActiveRule
		counts Counts
		late   []func() error
		hidden map[string]int // reads that do not find the key yet
		wait   func(ctx context.Context, d time.Duration) error
	}
}

// New wraps a bucket. The faulty bucket is blob.NewBucket of the result.
func New(inner *blob.Bucket) *Faulty {
	f := &Faulty{inner: inner}
	f.mu.hidden = map[string]int{}
	f.mu.wait = func(ctx context.Context, d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f
}

// Between returns a driver and what puts it between a bucket and whoever opens
// that: for those who have no bucket of their own to wrap. The driver is usable
// once the bucket was opened.
func Between() (*Faulty, func(*blob.Bucket) *blob.Bucket) {
	f := New(nil)
	return f, func(inner *blob.Bucket) *blob.Bucket {
		f.inner = inner
		return blob.NewBucket(f)
	}
}

// Add puts a rule to work, behind those that are there. The first that applies
// to a request decides. It panics if the pattern is malformed.
func (f *Faulty) Add(rule Rule) *ActiveRule {
	if _, err := path.Match(rule.KeyPattern, ""); err != nil {
		panic("buckettest: " + err.Error() + ": " + rule.KeyPattern)
	}
	active := &ActiveRule{rule: rule, owner: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules = append(f.mu.rules, active)
	return active
}

// Clear ends all rules.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules = nil
}

// SetWait sets what a delayed request blocks in, instead of a timer.
func (f *Faulty) SetWait(wait func(ctx context.Context, d time.Duration) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.wait = wait
}

// Counts returns what was counted so far.
func (f *Faulty) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.counts
}

// Settle does what was put off, in the order of the requests, and returns what
// came of it.
func (f *Faulty) Settle() []error {
	f.mu.Lock()
	late := f.mu.late
	f.mu.late = nil
	f.mu.Unlock()
	var outcomes []error
	for _, do := range late {
		outcomes = append(outcomes, do())
	}
	return outcomes
}

func (f *Faulty) putOff(do func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.late = append(f.mu.late, do)
}

func (f *Faulty) hide(key string, reads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.hidden[key] = reads
}

// isHidden counts a read of a key that may not be seen yet.
func (f *Faulty) isHidden(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.hidden[key] == 0 {
		return false
	}
	f.mu.hidden[key]--
	return true
}

func (f *Faulty) addBytes(put, got int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.counts.BytesPut += int64(put)
	f.mu.counts.BytesGot += int64(got)
}

// judge counts a request, finds its rule, and waits.
func (f *Faulty) judge(ctx context.Context, op Op, key string) (Rule, error) {
	f.mu.Lock()
	f.countLocked(op)
	verdict := Rule{Fault: None}
	for _, active := range f.mu.rules {
		if active.appliesLocked(op, key) {
			verdict = active.rule
			break
		}
	}
	wait := f.mu.wait
	f.mu.Unlock()
	if verdict.Err == nil && verdict.Fault != Late {
		verdict.Err = ErrTransient
	}
	if verdict.Delay > 0 {
		if err := wait(ctx, verdict.Delay); err != nil {
			return verdict, err
		}
	}
	switch verdict.Fault {
	case Fail:
		return verdict, verdict.Err
	case Hang:
		<-ctx.Done()
		return verdict, ctx.Err()
	default:
		return verdict, nil
	}
}

func (f *Faulty) countLocked(op Op) {
	counts := &f.mu.counts
	switch op {
	case OpPut:
		counts.Puts++
	case OpGet:
		counts.Gets++
	case OpHead:
		counts.Heads++
	case OpList:
		counts.Lists++
	case OpDelete:
		counts.Deletes++
	}
}

// ErrorCode is the code that a rule's error was given, or that of the wrapped
// bucket.
func (f *Faulty) ErrorCode(err error) gcerrors.ErrorCode { return codeOf(err) }

// As knows no types.
func (f *Faulty) As(any) bool { return false }

// ErrorAs knows no types.
func (f *Faulty) ErrorAs(error, any) bool { return false }

// Close leaves the wrapped bucket open.
func (f *Faulty) Close() error { return nil }

// SignedURL is not supported.
func (f *Faulty) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errUnsupported
}

// Copy is not supported.
func (f *Faulty) Copy(context.Context, string, string, *driver.CopyOptions) error {
	return errUnsupported
}

// Attributes describes an object.
func (f *Faulty) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	verdict, err := f.judge(ctx, OpHead, key)
	if err != nil {
		return nil, err
	}
	if f.isHidden(key) {
		return nil, errNotFound
	}
	found, err := f.inner.Attributes(ctx, key)
	if verdict.Fault == LoseAnswer {
		err = verdict.Err
	}
	if err != nil {
		return nil, err
	}
	return &driver.Attributes{
		ContentType: found.ContentType, Metadata: found.Metadata, ModTime: found.ModTime, Size: found.Size, ETag: found.ETag,
	}, nil
}

// Delete removes an object.
func (f *Faulty) Delete(ctx context.Context, key string, opts *driver.DeleteOptions) error {
	if opts.BeforeDelete != nil {
		return errUnsupported
	}
	verdict, err := f.judge(ctx, OpDelete, key)
	if err != nil {
		return err
	}
	switch verdict.Fault {
	case Lose:
		return nil
	case Late:
		f.putOff(func() error { return f.inner.Delete(context.WithoutCancel(ctx), key) })
		return verdict.Err
	case Repeat:
		if err := f.inner.Delete(ctx, key); err != nil {
			return err
		}
	}
	err = f.inner.Delete(ctx, key)
	if verdict.Fault == LoseAnswer {
		return verdict.Err
	}
	return err
}

// ListPaged lists a page of objects. Those that are hidden are left out.
func (f *Faulty) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	verdict, err := f.judge(ctx, OpList, opts.Prefix)
	if err != nil {
		return nil, err
	}
	token, size := opts.PageToken, opts.PageSize
	if len(token) == 0 {
		token = blob.FirstPageToken
	}
	if size == 0 {
		size = 1000
	}
	found, next, err := f.inner.ListPage(ctx, token, size, &blob.ListOptions{Prefix: opts.Prefix, Delimiter: opts.Delimiter})
	if verdict.Fault == LoseAnswer {
		err = verdict.Err
	}
	if err != nil {
		return nil, err
	}
	page := &driver.ListPage{NextPageToken: next}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, object := range found {
		if f.mu.hidden[object.Key] == 0 {
			page.Objects = append(page.Objects, &driver.ListObject{Key: object.Key, ModTime: object.ModTime, Size: object.Size, IsDir: object.IsDir})
		}
	}
	return page, nil
}

// errGivenUp is what a writer answers after an error.
var errGivenUp = errors.New("buckettest: writer has failed")
