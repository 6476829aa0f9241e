"""Warm and cold objects: a segment file as a seekable zstd stream.

docs/segment-format.md, "Warm and cold object", is the source of every number
here. The seek table is not trusted: sizes are bounded by the object and by the
largest segment before anything is allocated, and a frame is read no further than
it should reach.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

from .crc import crc64
from .errors import CorruptError, FormatError, MissingDecoderError, NotOursError, TruncatedError
from .segment import FOOTER_LENGTH, HEADER_LENGTH, Footer, decode_footer
from .segment_index import FRAME_BYTES, Index, decode_index, index_reserve

SKIPPABLE_MAGIC = 0x184D2A5E
SEEKABLE_MAGIC = 0x8F92EAB1
LEAST_FRAMES, MOST_FRAMES = 2, 16386
MOST_CONTENT = 2281701376
SHORTEST_FRAME = 14
_ENTRY = 12
_TABLE_FOOTER = 9
_WITH_CHECKSUMS = 0x80
_NOT_INTERPRETED = 0x03
_READ_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 17
_UNSIZED_BYTES = 256


@dataclass(frozen=True)
class ZstdFrame:
    """One frame of an object: its place there, and in the segment file. The
    checksum is the low half of the XXH64 of its content."""

    offset: int
    length: int
    segment_offset: int
    segment_length: int
    checksum: int


def decode_seek_table(data: memoryview) -> list[ZstdFrame]:
    """The frames of an object from the skippable frame at its end. Raises
    FormatError if anything is out of bounds."""
    if len(data) < 8 + _TABLE_FOOTER:
        raise TruncatedError(f"object: {len(data)} bytes are too few for a seek table")
    count, descriptor, magic = struct.unpack_from("<IBI", data, len(data) - _TABLE_FOOTER)
    if magic != SEEKABLE_MAGIC:
        raise NotOursError(f"object: ends with {magic:#x} and with no seek table")
    if descriptor & ~_NOT_INTERPRETED != _WITH_CHECKSUMS:
        raise CorruptError(f"seek table: descriptor {descriptor:#x}")
    if not LEAST_FRAMES <= count <= MOST_FRAMES:
        raise CorruptError(f"seek table: {count} frames")
    size = count * _ENTRY + _TABLE_FOOTER
    start = len(data) - size - 8
    if start < 0:
        raise CorruptError(f"seek table: {count} frames in an object of {len(data)} bytes")
    skippable, stated = struct.unpack_from("<II", data, start)
    if skippable != SKIPPABLE_MAGIC or stated != size:
        raise CorruptError("seek table: its frame does not fit its count")
    frames = _frames(data, start, count)
    if frames[-1].offset + frames[-1].length != start:
        raise CorruptError("seek table: sizes do not sum to the object's length")
    tail, records = frames[-1].segment_length, frames[-1].segment_offset
    if not FOOTER_LENGTH < tail <= FOOTER_LENGTH + index_reserve(records):
        raise CorruptError(f"seek table: {tail} bytes are no index frame for {records} bytes of records")
    return frames


def _frames(data: memoryview, table: int, count: int) -> list[ZstdFrame]:
    frames = []
    offset = segment_offset = 0
    for number in range(count):
        length, size, checksum = struct.unpack_from("<III", data, table + 8 + number * _ENTRY)
        if not size or not SHORTEST_FRAME <= length <= size + size // 256 + 64:
            raise CorruptError(f"seek table: frame {number} has {length} bytes for {size}")
        if offset + length > table or segment_offset + size > MOST_CONTENT:
            raise CorruptError(f"seek table: frame {number} reaches too far")
        frames.append(ZstdFrame(offset, length, segment_offset, size, checksum))
        offset += length
        segment_offset += size
    return frames


def frame_at(data: memoryview, offset: int, segment_offset: int) -> ZstdFrame | None:
    """The zstd frame at an offset, by its own header and those of its blocks."""
    import zstandard

    try:
        header = zstandard.get_frame_parameters(bytes(data[offset : offset + 18]))
        at = offset + zstandard.frame_header_size(bytes(data[offset : offset + 18]))
        stated = zstandard.frame_content_size(bytes(data[offset : offset + 18]))
    except zstandard.ZstdError:
        return None
    blocks, last = 0, 0
    while not last:
        if at + 3 > len(data):
            return None
        block = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = block & 1, block >> 1 & 3, block >> 3
        if kind == 3 or length > _BLOCK_BYTES:
            return None
        at += 3 + (1 if kind == 1 else length)
        blocks += 1
    if at + 4 > len(data) or not header.has_checksum or header.dict_id:
        return None
    size = stated
    if stated == -1:
        try:
            with zstandard.ZstdDecompressor().stream_reader(bytes(data[offset : at + 4])) as reader:
                size = len(reader.read(_UNSIZED_BYTES + 1))
        except zstandard.ZstdError:
            return None
    if not 0 < size <= min(blocks * _BLOCK_BYTES, MOST_CONTENT) or stated == -1 and size > _UNSIZED_BYTES:
        return None
    return ZstdFrame(offset, at + 4 - offset, segment_offset, size, struct.unpack_from("<I", data, at)[0])


def walk_frames(data: memoryview) -> list[ZstdFrame]:
    """The frames from the start of an object, up to the first thing that is none."""
    frames: list[ZstdFrame] = []
    at = segment_offset = 0
    while len(frames) < MOST_FRAMES:
        frame = frame_at(data, at, segment_offset)
        if frame is None:
            break
        frames.append(frame)
        at += frame.length
        segment_offset += frame.segment_length
    return frames


class WarmObject:
    """A whole object in memory. Raises FormatError for bytes that are wrong, and
    MissingDecoderError without the package zstandard. With `torn` its frames are
    found without the seek table."""

    def __init__(self, data: memoryview, torn: bool = False) -> None:
        self._data = data
        self._decoder = _decoder()
        self.frames = walk_frames(data) if torn else decode_seek_table(data)
        if not self.frames:
            raise CorruptError("object: no frame, and no seek table")

    def frame(self, number: int) -> bytes:
        """The bytes of the segment that a frame holds."""
        frame = self.frames[number]
        data = self._data[frame.offset : frame.offset + frame.length]
        return _decompress(self._decoder, data, frame, f"frame {number}")

    @property
    def segment_length(self) -> int:
        return self.frames[-1].segment_offset + self.frames[-1].segment_length

    def tail(self) -> tuple[Footer, Index]:
        """Footer and index, from the last data frame alone."""
        raw = memoryview(self.frame(len(self.frames) - 1))
        if len(raw) < FOOTER_LENGTH:
            raise TruncatedError(f"object: {len(raw)} bytes in the last frame are no footer")
        footer = decode_footer(raw[-FOOTER_LENGTH:])
        index = raw[:-FOOTER_LENGTH]
        if footer.index_length != len(index) or footer.index_offset != self.frames[-1].segment_offset:
            raise CorruptError("object: the last frame is not what its footer says")
        if crc64(index) != footer.index_crc64:
            raise CorruptError("object: the index's checksum does not match")
        return footer, decode_index(index)

    def segment(self) -> bytes:
        """The segment file, byte for byte; its checksum is compared."""
        footer, index = self.tail()
        self.check_frames(footer, index)
        parts = [self.frame(number) for number in range(len(self.frames))]
        crc = 0
        for part in parts[:-1]:
            crc = crc64(part, crc)
        if crc != footer.segment_crc64:
            raise CorruptError("object: the segment's checksum does not match")
        return b"".join(parts)

    def check_frames(self, footer: Footer, index: Index) -> None:
        """Frames of the object are cut where those of the index are."""
        starts = [frame.offset for frame in index.frames] or [HEADER_LENGTH]
        if any(after - before < FRAME_BYTES for before, after in zip(starts, starts[1:])):
            raise CorruptError(f"index: frames that are less than {FRAME_BYTES} bytes apart")
        expected = [0, *starts[1:], footer.index_offset]
        found = [frame.segment_offset for frame in self.frames]
        if found != expected:
            raise CorruptError(f"object: {len(found)} frames are not cut as the index's {len(starts)}")

    def salvage(self) -> tuple[bytes, list[str]]:
        """All that can be had of the segment file, zeros in the place of frames
        that are damaged, and what is wrong. What a frame says of itself, and decodes
        as, counts before the seek table."""
        parts, findings = [], []
        for number, frame in enumerate(self.frames):
            try:
                parts.append(self.frame(number))
                continue
            except FormatError as error:
                findings.append(str(error))
            own = frame_at(self._data, frame.offset, frame.segment_offset)
            try:
                if own is None or own.length != frame.length:
                    raise CorruptError("no frame")
                data = self._data[own.offset : own.offset + own.length]
                parts.append(_decompress(self._decoder, data, own, f"frame {number}"))
            except FormatError:
                parts.append(bytes(frame.segment_length))
        return b"".join(parts), findings


def _decoder() -> Any:
    try:
        import zstandard
    except ImportError:
        raise MissingDecoderError("a zstd object needs the package zstandard: pip install aof-nats[harness]") from None
    return zstandard.ZstdDecompressor()


def _decompress(decoder: Any, data: memoryview, frame: ZstdFrame, what: str) -> bytes:
    """Takes memory for what comes out, never for what a header promises. zstd
    compares the content with the frame's own checksum."""
    import zstandard

    out = io.BytesIO()
    size = frame.segment_length
    try:
        header = zstandard.get_frame_parameters(bytes(data[:18]))
        if not header.has_checksum or header.dict_id:
            raise CorruptError(f"{what}: without a checksum, or with a dictionary")
        stated = zstandard.frame_content_size(bytes(data[:18]))
        if stated not in (-1, size):
            raise CorruptError(f"{what}: states {stated} bytes, the seek table {size}")
        if struct.unpack_from("<I", data, len(data) - 4)[0] != frame.checksum:
            raise CorruptError(f"{what}: another checksum than in the seek table")
        with decoder.stream_reader(bytes(data), read_across_frames=False) as reader:
            while out.tell() <= size:
                block = reader.read(min(_READ_BYTES, size + 1 - out.tell()))
                if not block:
                    break
                out.write(block)
    except zstandard.ZstdError as error:
        raise CorruptError(f"{what}: {error}") from None
    if out.tell() != size:
        raise CorruptError(f"{what}: {out.tell()} bytes or more instead of {size}")
    return out.getvalue()
