package bucket_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
)

// Claims on a store that misbehaves: an owner that is told it holds an epoch is
// the only one, and an answer that is not known is not an answer.

var (
	owner = bucket.Owner{Name: "node-1", Token: "token-1"}
	rival = bucket.Owner{Name: "node-2", Token: "token-2"}
)

func TestAClaimIsFoundAgainWhateverHappenedToItsAnswer(t *testing.T) {
	for name, rule := range map[string]buckettest.Rule{
		"fails once":           {Op: buckettest.OpPut, Times: 1},
		"answer lost":          {Op: buckettest.OpPut, Fault: buckettest.LoseAnswer, Times: 1},
		"repeated by a client": {Op: buckettest.OpPut, Fault: buckettest.Repeat, Times: 1},
		"hidden for a moment":  {Op: buckettest.OpPut, Fault: buckettest.Hide, Reads: 2, Times: 1},
		"every second fails":   {Every: 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFaultyStore(t)
			s.faulty.Add(rule)
			check(t, s.folder.Claim(ctx, 1, owner))
			if err := s.bypass().Claim(ctx, 1, rival); !errors.Is(err, bucket.ErrFenced) {
				t.Errorf("the rival got %v", err)
			}
			check(t, s.folder.Superseded(ctx, 1))
		})
	}
}

func TestAClaimThatLosesToALateOneIsFenced(t *testing.T) {
	s := newFaultyStore(t)
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut, Err: buckettest.ErrTimeout, Times: 1})
	s.clock.beforeSleep(func(int) { check(t, s.bypass().Claim(ctx, 1, rival)) })
	err := s.folder.Claim(ctx, 1, owner)
	var fenced *bucket.FencedError
	if !errors.As(err, &fenced) || fenced.Holder != rival || !strings.Contains(err.Error(), "node-2") {
		t.Errorf("got %v", err)
	}
}

func TestWhetherAnOwnerIsSupersededIsNotGuessed(t *testing.T) {
	for _, cause := range []error{buckettest.ErrTransient, buckettest.ErrAuth, buckettest.ErrThrottled} {
		s := newFaultyStore(t)
		check(t, s.folder.Claim(ctx, 1, owner))
		s.faulty.Add(buckettest.Rule{Op: buckettest.OpGet, Err: cause})
		err := s.folder.Superseded(ctx, 1)
		if !errors.Is(err, cause) || errors.Is(err, bucket.ErrFenced) {
			t.Errorf("got %v", err)
		}
		if _, err := s.folder.HighestEpoch(ctx); err != nil {
			t.Errorf("got %v", err)
		}
		s.faulty.Add(buckettest.Rule{Op: buckettest.OpList, Err: cause})
		if _, err := s.folder.HighestEpoch(ctx); !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	}
}

func TestAClaimThatCannotBeReadIsAClaim(t *testing.T) {
	for _, body := range []string{"", "garbage", `{"format":2,"epoch":1,"token":"token-1"}`, `{"format":1,"epoch":2,"token":"token-1"}`, strings.Repeat("x", 5000)} {
		s := newFaultyStore(t)
		put(t, s.folder, bucket.EpochKey(1), body)
		for _, err := range []error{s.folder.Claim(ctx, 1, owner), s.folder.Superseded(ctx, 0)} {
			if !errors.Is(err, bucket.ErrFenced) || !strings.Contains(err.Error(), "cannot be read") {
				t.Errorf("%.20q: %v", body, err)
			}
		}
	}
}

func TestClaimsThatCannotBeAreRefused(t *testing.T) {
	s := newFaultyStore(t)
	before := s.bucket.Requests()
	for _, err := range []error{
		s.folder.Claim(ctx, 0, owner), s.folder.Claim(ctx, 1, bucket.Owner{Name: "x"}),
		s.folder.Claim(ctx, 1, bucket.Owner{Name: strings.Repeat("x", 5000), Token: "t"}),
	} {
		if !errors.Is(err, bucket.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	}
	check(t, s.folder.Superseded(ctx, math.MaxUint64))
	if s.bucket.Requests() != before {
		t.Error("something was sent")
	}
}

func TestOtherObjectsAmongTheClaimsAreIgnored(t *testing.T) {
	s := newFaultyStore(t)
	check(t, s.folder.Claim(ctx, 9, owner))
	put(t, s.folder, "epochs/99", "x")
	put(t, s.folder, "epochs/notes", "x")
	if highest, err := s.folder.HighestEpoch(ctx); err != nil || highest != 9 {
		t.Errorf("got %d, %v", highest, err)
	}
}

func claimBody(t testing.TB) []byte {
	url := memoryURL()
	opened, folder := open(t, bucket.Options{URL: url})
	check(t, folder.Claim(ctx, 7, owner))
	body := []byte(held(t, folder, bucket.EpochKey(7)))
	check(t, opened.Close())
	return body
}

func TestADamagedClaimIsNobodyElses(t *testing.T) {
	whole := claimBody(t)
	if holder, ok := bucket.DecodeClaim(whole, 7); !ok || holder != owner {
		t.Fatalf("got %+v, %v", holder, ok)
	}
	for length := range whole {
		if _, ok := bucket.DecodeClaim(whole[:length], 7); ok {
			t.Errorf("the first %d bytes are accepted", length)
		}
	}
	for at := range whole {
		for bit := range 8 {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << bit
			if holder, ok := bucket.DecodeClaim(damaged, 7); ok && holder.Token == rival.Token {
				t.Errorf("byte %d: became the claim of %+v", at, holder)
			}
		}
	}
}

func FuzzClaim(f *testing.F) {
	f.Add(claimBody(f))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if holder, ok := bucket.DecodeClaim(body, 7); ok && holder.Token == "" {
			t.Fatalf("%q is a claim of nobody", body)
		}
	})
}
