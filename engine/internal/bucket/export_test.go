package bucket

import (
	"context"
	"testing"
)

// Reopen opens a bucket once more, as another user of it would.
func (b *Bucket) Reopen(t *testing.T) *Bucket {
	t.Helper()
	again, err := Open(context.Background(), b.opts)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// DecodeClaim is decodeClaim, and whose claim it is.
func DecodeClaim(body []byte, epoch uint64) (Owner, bool) {
	read, ok := decodeClaim(body, epoch)
	return Owner{read.Owner, read.Token}, ok
}

// Classify is classify for a context that has not ended.
func Classify(op Op, err error) Kind { return classify(context.Background(), op, err) }
