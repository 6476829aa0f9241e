package engine

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/aof-nats/aof-nats/engine/internal/bucket"
	"github.com/aof-nats/aof-nats/internal/vfs"
)

// Options configures an engine. The zero value is usable; Open fills in the
// defaults and refuses what is out of range.
type Options struct {
	// HotBytesMax bounds the local bytes of all segment files together,
	// preallocated ones included. Default 4 GiB. A disk that is full before its
	// budgets are bounds them too: what is good elsewhere is dropped for what is
	// written next.
	HotBytesMax int64
	// WarmBytesMax bounds the local bytes of all compressed segments together.
	// Default 16 GiB. NoWarm, without a bucket only: nothing is compressed, and
	// appends are refused when the hot budget is full.
	WarmBytesMax int64
	// IndexBytesMax bounds the memory for indexes of compressed segments.
	// Default 64 MiB.
	IndexBytesMax int64
	// Bucket is the URL of the cold tier: file:///directory, mem://name. "": there
	// is none, and nothing leaves the local disk.
	Bucket string
	// Owner says, for people, who opens the root: it stands in the claims that
	// other owners of its logs read. Default: the root's directory.
	Owner string
	// ProbeBucket makes Open find out whether the bucket takes uploads, and refuse
	// one that never will with ErrBucketRefused. That is two or three requests, and
	// up to 5 seconds if the bucket does not answer: then it is an outage from the
	// start, and is asked again until it answers. Without it the first upload finds
	// out.
	ProbeBucket bool
	// AllowUnfencedBucket accepts a bucket that lets a second writer create a key
	// that exists, so that a stale owner cannot be kept out.
	AllowUnfencedBucket bool
	// Logger receives state changes, never one line a record. Default: discard.
	Logger *slog.Logger
	// OnEvent is called, in order and from one goroutine at a time per log, at
	// each state change. It must return quickly and must not call the engine.
	OnEvent func(Event)
	// Now is the clock for timestamps and ages. Default time.Now.
	Now func() time.Time
	// FS is the disk; packages of this module set it to inject faults. Default:
	// the operating system.
	FS vfs.FS
	// BucketFS is the disk of file:// buckets, as FS.
	BucketFS vfs.FS

	// random makes ids and salts; the simulator makes it repeatable.
	random func() uint64
	// manual starts no goroutines: the simulator steps the log itself.
	manual bool
	// reserveBytes is the size of the reserve file.
	reserveBytes int64
	// bucketRetry and wrapBucket are for tests that inject faults.
	bucketRetry bucket.Retry
	// bucketPatience is how long one upload may take.
	bucketPatience time.Duration
	wrapBucket     bucket.Wrapper
}

// NoWarm as Options.WarmBytesMax turns the warm tier off.
const NoWarm = -1

// LogOptions configures one log. The zero value is usable.
type LogOptions struct {
	// SegmentBytesMin is the size of a log's first segment; each next one
	// doubles it up to SegmentBytesMax. Default 1 MiB, at least 64 KiB.
	SegmentBytesMin int64
	// SegmentBytesMax is the target size of a segment. Default 64 MiB, at most
	// 2 GiB.
	SegmentBytesMax int64
	// SegmentAgeMax seals a segment that holds records at this age. 0: never.
	SegmentAgeMax time.Duration
	// FlushInterval bounds how long a record stays unsynced when nobody waits
	// for it. Default 1 s.
	FlushInterval time.Duration
	// UnflushedBytesMax bounds the bytes that are appended and not yet synced;
	// beyond it appends get Flush backpressure. Default 32 MiB.
	UnflushedBytesMax int64
	// Dedup configures the message-id window of AppendIf.
	Dedup DedupOptions
}

// DedupOptions bounds the memory of message ids: an id is remembered for Window
// or until IDsMax newer ones came, whichever is shorter.
type DedupOptions struct {
	// Header names the stored header that carries a record's message id, so
	// that the window can be rebuilt after a restart. Default "Nats-Msg-Id".
	Header string
	// Window is how long an id is remembered. Default 2 minutes.
	Window time.Duration
	// IDsMax is how many ids are remembered. Default 4 Mi.
	IDsMax int
}

const (
	segmentBytesFloor = 64 << 10
	mib               = 1 << 20
)

func (o *Options) ensureDefaults() {
	setDefault(&o.HotBytesMax, 4<<30)
	setDefault(&o.WarmBytesMax, 16<<30)
	setDefault(&o.IndexBytesMax, 64*mib)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	setDefault(&o.reserveBytes, reserveBytes)
	setDefault(&o.bucketPatience, bucketPatience)
	if o.random == nil {
		o.random = randomID
	}
}

func (o *Options) validate() error {
	if o.HotBytesMax < 4*segmentBytesFloor {
		return invalidOption(fmt.Sprintf("hot budget of %d bytes is under %d", o.HotBytesMax, 4*segmentBytesFloor))
	}
	if o.WarmBytesMax < NoWarm || o.IndexBytesMax < 0 {
		return invalidOption("a byte budget is negative")
	}
	if o.WarmBytesMax == NoWarm && o.Bucket != "" {
		return invalidOption("a bucket needs a warm budget: segments are compressed before they are uploaded")
	}
	if o.Bucket == "" {
		return nil
	}
	return CheckBucket(o.Bucket)
}

// CheckBucket reports whether a URL can be Options.Bucket, without looking at
// what it names. The error matches ErrInvalidOptions.
func CheckBucket(url string) error {
	if err := bucket.CheckURL(url); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	return nil
}

func (o *LogOptions) ensureDefaults() {
	setDefault(&o.SegmentBytesMax, 64*mib)
	setDefault(&o.SegmentBytesMin, min(mib, o.SegmentBytesMax))
	setDefault(&o.FlushInterval, time.Second)
	setDefault(&o.UnflushedBytesMax, 32*mib)
	setDefault(&o.Dedup.Window, 2*time.Minute)
	setDefault(&o.Dedup.IDsMax, 4<<20)
	if o.Dedup.Header == "" {
		o.Dedup.Header = "Nats-Msg-Id"
	}
}

func (o *LogOptions) validate() error {
	switch {
	case o.SegmentBytesMin < segmentBytesFloor:
		return invalidOption(fmt.Sprintf("segment size of %d bytes is under %d", o.SegmentBytesMin, segmentBytesFloor))
	case o.SegmentBytesMax < o.SegmentBytesMin:
		return invalidOption("the largest segment is smaller than the first")
	case o.SegmentBytesMax > 2<<30:
		return invalidOption("a segment is at most 2 GiB")
	case o.SegmentAgeMax < 0 || o.FlushInterval < 0 || o.Dedup.Window < 0:
		return invalidOption("a duration is negative")
	case o.UnflushedBytesMax < segmentBytesFloor:
		return invalidOption(fmt.Sprintf("unflushed limit of %d bytes is under %d", o.UnflushedBytesMax, segmentBytesFloor))
	case o.Dedup.IDsMax < 0 || o.Dedup.IDsMax > 1<<28:
		return invalidOption("dedup ids are out of range")
	}
	return nil
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

var logNamePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// ValidateLogName reports whether name can name a log: 1 to 128 of A-Z, a-z,
// 0-9, '_' and '-'. The error matches ErrInvalidOptions.
func ValidateLogName(name string) error {
	if !logNamePattern.MatchString(name) {
		return invalidOption(fmt.Sprintf("log name %q: use 1 to 128 of A-Z, a-z, 0-9, '_' and '-'", name))
	}
	return nil
}
