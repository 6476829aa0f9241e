package bucket_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gocloud.dev/blob"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/engine/internal/bucket/buckettest"
	"github.com/aof-nats/aof-nats/internal/fileblob"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

func TestURLsThatCannotBeOpenedChangeNothing(t *testing.T) {
	disk := vfs.NewMem(1)
	for _, url := range []string{
		"", "/absolute/directory", "s3://bucket", "FTP://x/y", "file:relative", "file://host/dir", "file://", "file:///",
		"file:///dir?prefix=a&prefix=b", "file:///dir?no_tmp_dir=1", "file:///dir?prefix=../x", "file:///dir#part", "mem://user:secret@x", ":",
	} {
		opened, err := bucket.Open(ctx, bucket.Options{URL: url, FS: disk})
		if !errors.Is(err, bucket.ErrURL) || opened != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
	}
	if entries, err := disk.ReadDir("/"); err != nil || len(entries) != 0 {
		t.Errorf("made %v, %v", entries, err)
	}
	_, err := bucket.Open(ctx, bucket.Options{URL: "s3://bucket"})
	for _, scheme := range []string{"s3", "file://", "mem://"} {
		if !strings.Contains(err.Error(), scheme) {
			t.Errorf("%v does not name %s", err, scheme)
		}
	}
}

func TestAFileBucketMakesItsDirectoryAndKeepsBelowItsPrefix(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there yet")
	opened, folder := open(t, bucket.Options{URL: "file://" + strings.ReplaceAll(dir, " ", "%20") + "?prefix=team/one"})
	put(t, folder, bucket.LogKey, "{}")
	check(t, opened.Close())
	content, err := os.ReadFile(filepath.Join(dir, "team+", "one+", folderName+"+", "log.json"))
	check(t, err)
	if string(content) != "{}" {
		t.Errorf("got %q", content)
	}
}

func TestABucketOpenForReadingSendsNoChange(t *testing.T) {
	disk := vfs.NewMem(1)
	writing, folder := open(t, bucket.Options{URL: "file:///bucket", FS: disk})
	put(t, folder, "a", body)
	check(t, writing.Close())
	traced := vfs.NewTraced(disk, "/")
	reading, folder := open(t, bucket.Options{URL: "file:///bucket", FS: traced, ReadOnly: true})
	if held(t, folder, "a") != body || len(keys(t, folder, "")) != 1 {
		t.Error("not read")
	}
	_, err := folder.Put(ctx, "b", text("x"))
	for _, err := range []error{err, folder.Delete(ctx, "a"), reading.Probe(ctx)} {
		if !errors.Is(err, bucket.ErrReadOnly) || bucket.KindOf(err) != bucket.KindPermanent {
			t.Errorf("got %v", err)
		}
	}
	check(t, reading.Close())
	if lines := traced.Lines(); len(lines) != 0 {
		t.Errorf("it did %q", lines)
	}
	if _, err := bucket.Open(ctx, bucket.Options{URL: "file:///none", FS: disk, ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func unfenced(s *faultyStore) {
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut, Fault: buckettest.Overwrite})
}

func TestAStoreThatCreatesAKeyTwiceIsRefusedUnlessAllowed(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		s := &faultyStore{t: t, url: memoryURL()}
		opened, folder := open(t, bucket.Options{URL: s.url, AllowUnfenced: allowed, Wrap: func(b *blob.Bucket) *blob.Bucket {
			s.faulty = buckettest.New(b)
			return blob.NewBucket(s.faulty)
		}})
		unfenced(s)
		_, err := folder.Put(ctx, "a", text(body))
		if allowed {
			check(t, err)
		} else if wantKind(t, err, bucket.KindPermanent); !errors.Is(err, bucket.ErrUnfenced) || s.stored() != "(absent)" {
			t.Errorf("got %v", err)
		}
		check(t, opened.Close())
	}
}

func TestTheProbeIsSentOnceAndKnowsItsOwnObject(t *testing.T) {
	url := memoryURL()
	for open1, want := range []uint64{2, 1, 1} { // creates and is refused; is refused
		opened, _ := open(t, bucket.Options{URL: url})
		check(t, opened.Probe(ctx))
		check(t, opened.Probe(ctx))
		if got := opened.Requests().Put; got != want {
			t.Errorf("open %d: %d puts, want %d", open1, got, want)
		}
		check(t, opened.Close())
	}
}

func TestAProbeThatFailsProvesNothing(t *testing.T) {
	s := &faultyStore{t: t, url: memoryURL()}
	opened, folder := open(t, bucket.Options{URL: s.url, Wrap: func(b *blob.Bucket) *blob.Bucket {
		s.faulty = buckettest.New(b)
		return blob.NewBucket(s.faulty)
	}})
	rule := s.faulty.Add(buckettest.Rule{Op: buckettest.OpPut, KeyPattern: "probe", Err: buckettest.ErrAuth, Times: 1})
	_, err := folder.Put(ctx, "a", text(body))
	if wantKind(t, err, bucket.KindAuth); rule.Applied() != 1 || s.stored() != "(absent)" {
		t.Errorf("got %v", err)
	}
	put(t, folder, "a", body)
	check(t, opened.Close())
}

func TestCausesHaveTheirKinds(t *testing.T) {
	for _, c := range []struct {
		op   bucket.Op
		err  error
		want bucket.Kind
	}{
		{bucket.OpRead, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, bucket.KindNoSpace},
		{bucket.OpPut, syscall.EDQUOT, bucket.KindNoSpace},
		{bucket.OpPut, syscall.EACCES, bucket.KindAuth},
		{bucket.OpPut, syscall.EROFS, bucket.KindAuth},
		{bucket.OpPut, syscall.EIO, bucket.KindUnavailable},
		{bucket.OpRead, syscall.ECONNRESET, bucket.KindUnavailable},
		{bucket.OpRead, syscall.EMFILE, bucket.KindTransient},
		{bucket.OpPut, syscall.ENAMETOOLONG, bucket.KindPermanent},
		{bucket.OpPut, syscall.EXDEV, bucket.KindPermanent},
		{bucket.OpRead, &net.DNSError{Err: "no such host"}, bucket.KindUnavailable},
		{bucket.OpRead, context.DeadlineExceeded, bucket.KindUnavailable},
		{bucket.OpRead, errors.New("anything"), bucket.KindTransient},
		{bucket.OpPut, bucket.ErrClosed, bucket.KindPermanent},
	} {
		if got := bucket.Classify(c.op, c.err); got != c.want {
			t.Errorf("%s, %v: kind %v, want %v", c.op, c.err, got, c.want)
		}
	}
	if name := bucket.Kind(200).String(); name != "kind 200" {
		t.Errorf("got %q", name)
	}
}

// TestErrorsOfTheFileDriverHaveTheirKinds takes the errors through gocloud.
func TestErrorsOfTheFileDriverHaveTheirKinds(t *testing.T) {
	for _, c := range []struct {
		name string
		rule vfs.Rule
		kind bucket.Kind
		is   error
	}{
		{"disk full", vfs.Rule{Op: vfs.OpWrite, Err: syscall.ENOSPC}, bucket.KindNoSpace, syscall.ENOSPC},
		{"bad disk", vfs.Rule{Op: vfs.OpSync, Err: syscall.EIO}, bucket.KindUnavailable, syscall.EIO},
		{"no permission", vfs.Rule{Op: vfs.OpCreate, Err: syscall.EACCES}, bucket.KindAuth, syscall.EACCES},
		{"no hard links", vfs.Rule{Op: vfs.OpLink, Err: syscall.EPERM}, bucket.KindPermanent, fileblob.ErrNoLinks},
		{"swept", vfs.Rule{Op: vfs.OpLink, Err: syscall.ENOENT}, bucket.KindTransient, fileblob.ErrVanished},
	} {
		t.Run(c.name, func(t *testing.T) {
			faulty := vfs.NewFaulty(vfs.NewMem(1))
			opened, folder := open(t, bucket.Options{URL: "file:///bucket", FS: faulty})
			check(t, opened.Probe(ctx))
			faulty.Add(c.rule)
			_, err := folder.Put(ctx, "a", text(body))
			if wantKind(t, err, c.kind); !errors.Is(err, c.is) {
				t.Errorf("got %v", err)
			}
			faulty.Clear()
			put(t, folder, "a", body)
			check(t, opened.Close())
		})
	}
}

func TestErrorsTellTheNextStep(t *testing.T) {
	s := newFaultyStore(t)
	s.faulty.Add(buckettest.Rule{Op: buckettest.OpGet, Err: buckettest.ErrAuth})
	_, err := s.folder.ReadAll(ctx, "a", 1)
	for _, part := range []string{"read", folderName + "/a", "not authorized", "access denied", "check the credentials"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

func TestTheSameNameIsTheSameMemory(t *testing.T) {
	url := memoryURL()
	first, a := open(t, bucket.Options{URL: url})
	put(t, a, "a", body)
	check(t, first.Close())
	second, b := open(t, bucket.Options{URL: url})
	if got := keys(t, b, ""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %q", got)
	}
	check(t, second.Close())
	third, c := open(t, bucket.Options{URL: url + "-other"})
	if got := keys(t, c, ""); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	check(t, third.Close())
}
