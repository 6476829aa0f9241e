package tier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

var (
	errFrameHeader   = errors.New("frame header does not fit the seek table")
	errFrameLength   = errors.New("frame content is of another length")
	errFrameChecksum = errors.New("frame is not the one that the seek table knows")
)

// decodeSlackBytes is room behind a frame without which the decoder takes a
// slower way. It writes content there only if the frame is longer than it says.
const decodeSlackBytes = 16

// frameChecksumBytes is the length of the checksum at the end of a frame: the
// low half of the XXH64 of its content, as in the seek table.
const frameChecksumBytes = 4

// unsizedBytes is the content from which a frame must name its length. The usual
// encoding has no room for a shorter one.
const unsizedBytes = 256

// decoder is the one decoder of the process: without state between frames, safe
// for concurrent use, as many frames at a time as there are processors, and
// without goroutines.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(segmentBytesMax), zstd.WithDecodeAllCapLimit(true))
})

// decodeFrame decodes one frame whose content is of the given length, into dst
// if its capacity is enough. Nothing is allocated before the frame itself has
// named that length, or it is too short to name it, and nothing beyond it.
func decodeFrame(compressed, dst []byte, length int64, checksum uint32) ([]byte, error) {
	var header zstd.Header
	if err := header.Decode(compressed); err != nil {
		return nil, err
	}
	if header.Skippable || !header.HasCheckSum || header.DictionaryID != 0 || len(compressed) < compressedFrameBytesMin {
		return nil, errFrameHeader
	}
	if !header.HasFCS && length >= unsizedBytes || header.HasFCS && header.FrameContentSize != uint64(length) {
		return nil, errFrameHeader
	}
	if ownChecksum(compressed) != checksum {
		return nil, errFrameChecksum
	}
	if int64(cap(dst)) < length+decodeSlackBytes {
		dst = make([]byte, 0, length+decodeSlackBytes)
	}
	shared, err := decoder()
	if err != nil {
		return nil, fmt.Errorf("make decoder: %w", err)
	}
	content, err := shared.DecodeAll(compressed, dst[:0:length+decodeSlackBytes])
	if err != nil {
		return nil, err
	}
	if int64(len(content)) != length {
		return nil, errFrameLength
	}
	return content, nil
}

// ownChecksum is the checksum at the end of a frame.
func ownChecksum(compressed []byte) uint32 {
	if len(compressed) < frameChecksumBytes {
		return 0
	}
	return binary.LittleEndian.Uint32(compressed[len(compressed)-frameChecksumBytes:])
}
