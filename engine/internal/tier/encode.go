package tier

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// DefaultLevel is the zstd level that objects are written with.
	DefaultLevel = 3

	// encoderWindowBytes is enough for a frame of common size and bounds the
	// memory of an encoder; a longer frame finds repetitions this far back.
	encoderWindowBytes = 1 << 20

	// pooledBytesMax is the longest buffer that is kept for the next frame or
	// segment: one made for a huge record is not.
	pooledBytesMax = 1 << 20
)

// frameEncoder makes frames one after the other into the same memory. It is
// the encoder of a seekable.Writer, which has written a frame before it asks
// for the next.
type frameEncoder struct {
	zstd       *zstd.Encoder
	plain      []byte // the frame that is encoded
	compressed []byte
}

// EncodeAll returns src as a zstd frame, valid until the next call.
func (e *frameEncoder) EncodeAll(src, _ []byte) []byte {
	e.compressed = e.zstd.EncodeAll(src, e.compressed[:0])
	return e.compressed
}

// buffer returns the memory for a frame of this length.
func (e *frameEncoder) buffer(length int64) []byte {
	if int64(cap(e.plain)) < length {
		e.plain = make([]byte, length)
	}
	return e.plain[:length]
}

// encoders keeps encoders for the next segment, by strength. An encoder has
// tables of a few MiB; none has a goroutine.
var encoders [zstd.SpeedBestCompression + 1]sync.Pool

func takeEncoder(level int) (*frameEncoder, func(), error) {
	if level == 0 {
		level = DefaultLevel
	}
	strength := zstd.EncoderLevelFromZstd(level)
	pool := &encoders[strength]
	e, ok := pool.Get().(*frameEncoder)
	if !ok {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(strength), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(encoderWindowBytes), zstd.WithEncoderCRC(true))
		if err != nil {
			return nil, nil, fmt.Errorf("make encoder: %w", err)
		}
		e = &frameEncoder{zstd: encoder}
	}
	return e, func() {
		if cap(e.plain) > pooledBytesMax {
			e.plain = nil
		}
		if cap(e.compressed) > pooledBytesMax {
			e.compressed = nil
		}
		pool.Put(e)
	}, nil
}
