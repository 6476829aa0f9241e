package buckettest_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type setup struct {
	inner  *blob.Bucket
	faulty *buckettest.Faulty
	outer  *blob.Bucket
}

func newSetup(t *testing.T, rules ...buckettest.Rule) *setup {
	t.Helper()
	s := &setup{inner: memblob.OpenBucket(nil)}
	s.faulty = buckettest.New(s.inner)
	s.outer = blob.NewBucket(s.faulty)
	for _, rule := range rules {
		s.faulty.Add(rule)
	}
	t.Cleanup(func() {
		check(t, s.outer.Close())
		check(t, s.inner.Close())
	})
	return s
}

// put creates a key if it is absent.
func (s *setup) put(key string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.outer.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "text/plain", IfNotExist: true})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "content"); err != nil {
		cancel()
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// has is what the wrapped bucket holds.
func (s *setup) has(t *testing.T, key string) string {
	t.Helper()
	content, err := s.inner.ReadAll(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return "(absent)"
	}
	check(t, err)
	return string(content)
}

func TestWritesMeetTheirFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		rule buckettest.Rule
		code gcerrors.ErrorCode
		has  string
	}{
		{"fail", buckettest.Rule{Fault: buckettest.Fail}, gcerrors.Internal, "(absent)"},
		{"throttle", buckettest.Rule{Err: buckettest.ErrThrottled}, gcerrors.ResourceExhausted, "(absent)"},
		{"auth", buckettest.Rule{Err: buckettest.ErrAuth}, gcerrors.PermissionDenied, "(absent)"},
		{"lose the answer", buckettest.Rule{Fault: buckettest.LoseAnswer, Err: buckettest.ErrTimeout}, gcerrors.DeadlineExceeded, "content"},
		{"lose", buckettest.Rule{Fault: buckettest.Lose}, gcerrors.OK, "(absent)"},
		{"shorten", buckettest.Rule{Fault: buckettest.Shorten, Bytes: 3}, gcerrors.OK, "con"},
		{"shorten to more than there is", buckettest.Rule{Fault: buckettest.Shorten, Bytes: 30}, gcerrors.OK, "content"},
		{"break", buckettest.Rule{Fault: buckettest.Break, Bytes: 3}, gcerrors.Internal, "(absent)"},
		{"break at the end", buckettest.Rule{Fault: buckettest.Break, Bytes: 30}, gcerrors.Unknown, "(absent)"},
		{"repeat", buckettest.Rule{Fault: buckettest.Repeat}, gcerrors.FailedPrecondition, "content"},
		{"late", buckettest.Rule{Fault: buckettest.Late}, gcerrors.OK, "(absent)"},
		{"another key", buckettest.Rule{KeyPattern: "b*"}, gcerrors.OK, "content"},
		{"this key", buckettest.Rule{KeyPattern: "log/*"}, gcerrors.Internal, "(absent)"},
		{"another operation", buckettest.Rule{Op: buckettest.OpReads | buckettest.OpDelete}, gcerrors.OK, "content"},
		{"later", buckettest.Rule{After: 1}, gcerrors.OK, "content"},
		{"every second", buckettest.Rule{Every: 2}, gcerrors.OK, "content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSetup(t, c.rule)
			if err := s.put("log/a"); gcerrors.Code(err) != c.code {
				t.Errorf("got %v, want code %v", err, c.code)
			}
			if got := s.has(t, "log/a"); got != c.has {
				t.Errorf("the bucket has %q, want %q", got, c.has)
			}
		})
	}
}

func TestLateRequestsAreDoneWhenSettled(t *testing.T) {
	s := newSetup(t)
	check(t, s.put("old"))
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut | buckettest.OpDelete, Fault: buckettest.Late, Err: buckettest.ErrTimeout, Times: 2})
	for _, err := range []error{s.put("new"), s.outer.Delete(ctx, "old")} {
		if gcerrors.Code(err) != gcerrors.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
	}
	if s.has(t, "new") != "(absent)" || s.has(t, "old") != "content" {
		t.Error("done at once")
	}
	for _, err := range s.faulty.Settle() {
		check(t, err)
	}
	if s.has(t, "new") != "content" || s.has(t, "old") != "(absent)" {
		t.Error("not done")
	}
	if again := s.faulty.Settle(); len(again) != 0 {
		t.Errorf("done twice: %v", again)
	}
}

func TestAHiddenObjectAppearsAfterItsReads(t *testing.T) {
	s := newSetup(t, buckettest.Rule{Op: buckettest.OpPut, Fault: buckettest.Hide, Reads: 2})
	check(t, s.put("a"))
	_, attributesErr := s.outer.Attributes(ctx, "a")
	if _, err := s.outer.List(nil).Next(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("listed: %v", err)
	}
	_, readErr := s.outer.ReadAll(ctx, "a")
	for _, err := range []error{attributesErr, readErr} {
		if gcerrors.Code(err) != gcerrors.NotFound {
			t.Errorf("got %v", err)
		}
	}
	content, err := s.outer.ReadAll(ctx, "a")
	check(t, err)
	if object, err := s.outer.List(nil).Next(ctx); err != nil || object.Key != "a" || string(content) != "content" {
		t.Errorf("got %v, %v", object, err)
	}
}

func TestReadsMeetTheirFaults(t *testing.T) {
	for _, c := range []struct {
		fault buckettest.Fault
		code  gcerrors.ErrorCode
		want  string
	}{
		{buckettest.Shorten, gcerrors.OK, "con"}, {buckettest.Break, gcerrors.Internal, "con"}, {buckettest.LoseAnswer, gcerrors.Internal, ""},
	} {
		s := newSetup(t, buckettest.Rule{Op: buckettest.OpGet, Fault: c.fault, Bytes: 3})
		check(t, s.put("a"))
		content, err := s.outer.ReadAll(ctx, "a")
		if string(content) != c.want || gcerrors.Code(err) != c.code {
			t.Errorf("fault %d: got %q, %v", c.fault, content, err)
		}
	}
}

func TestWhatHangsEndsWithItsContext(t *testing.T) {
	s := newSetup(t, buckettest.Rule{Fault: buckettest.Hang})
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.outer.Attributes(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDelaysBlockInTheGivenFunction(t *testing.T) {
	s := newSetup(t, buckettest.Rule{Fault: buckettest.None, Delay: time.Hour})
	waited := time.Duration(0)
	s.faulty.SetWait(func(_ context.Context, d time.Duration) error { waited += d; return nil })
	check(t, s.put("a"))
	check(t, s.outer.Delete(ctx, "a"))
	if waited != 2*time.Hour {
		t.Errorf("waited %v", waited)
	}
}

func TestRequestsAndBytesAreCounted(t *testing.T) {
	s := newSetup(t)
	check(t, s.put("a"))
	rule := s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut, Times: 1})
	if s.put("b") == nil || rule.Applied() != 1 {
		t.Error("not applied")
	}
	_, err := s.outer.ReadAll(ctx, "a")
	check(t, err)
	_, err = s.outer.Attributes(ctx, "a")
	check(t, err)
	_, err = s.outer.List(nil).Next(ctx)
	check(t, err)
	check(t, s.outer.Delete(ctx, "a"))
	want := buckettest.Counts{Puts: 2, Gets: 1, Heads: 1, Lists: 1, Deletes: 1, BytesPut: 7, BytesGot: 7}
	if got := s.faulty.Counts(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
