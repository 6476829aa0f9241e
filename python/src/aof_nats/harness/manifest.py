"""Chunks and records of a manifest, and what of a chunk is part of it.

docs/manifest-format.md is the source of every number here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Union

from .crc import crc32c, crc64
from .errors import CorruptError, VersionError
from .fields import check_flags, check_preamble, last_nonzero, round8, sector_is_zero
from .manifest_fields import RECORD_TYPES, USER_TYPES_FROM, Fields, decode_fields

CHUNK_HEADER_LENGTH = 128
RECORD_HEADER_LENGTH = 56
CHUNK_VERSION = 2
CHUNK_SEALED = 1
LONGEST_CHUNK = 1 << 20
LOG_CLOSED = 22

_CHUNK = struct.Struct("<QQQQQQQQQ")
_RECORD = struct.Struct("<QHHIQQqQII")


@dataclass(frozen=True)
class ChunkHeader:
    """The first 128 bytes of a chunk."""

    flags: int
    log_id: int
    chunk_index: int
    base_record: int
    epoch: int
    previous_crc64: int
    record_count: int
    record_bytes: int
    records_crc64: int
    allocated_bytes: int

    @property
    def sealed(self) -> bool:
        return bool(self.flags & CHUNK_SEALED)


def decode_chunk_header(data: memoryview) -> ChunkHeader:
    """Raises FormatError of the kind that fits."""
    flags = check_preamble(data, b"AOF2MLOG", CHUNK_VERSION, CHUNK_HEADER_LENGTH, "chunk header")
    if crc32c(data[:124]) != struct.unpack_from("<I", data, 124)[0]:
        raise CorruptError("chunk header: checksum does not match")
    check_flags(flags, CHUNK_SEALED, "chunk header")
    header = ChunkHeader(flags, *_CHUNK.unpack_from(data, 16))
    if header.record_bytes > LONGEST_CHUNK or header.record_bytes % 8:
        raise CorruptError(f"chunk header: records of {header.record_bytes} bytes")
    return header


@dataclass(frozen=True)
class ManifestRecord:
    """A record that verified, at `offset` of its chunk."""

    offset: int
    length: int
    type: int
    flags: int
    segment_id: int
    logical_offset: int
    timestamp: int
    ordinal: int
    unsynced: int
    payload: bytes

    @property
    def name(self) -> str:
        if self.type in RECORD_TYPES:
            return RECORD_TYPES[self.type][0]
        return f"user_{self.type}" if self.type >= USER_TYPES_FROM else f"type_{self.type}"

    def fields(self) -> Fields:
        """The payload's fields; those of unknown and user types are `bytes`."""
        if self.type not in RECORD_TYPES:
            return Fields({"bytes": self.payload})
        return decode_fields(RECORD_TYPES[self.type][2], memoryview(self.payload), self.name)


@dataclass(frozen=True)
class LostRecords:
    """Bytes [offset, end) of a chunk that do not verify, and their ordinals."""

    offset: int
    end: int
    first_ordinal: int
    last_ordinal: int


ChunkItem = Union[ManifestRecord, LostRecords]


@dataclass
class ChunkScan:
    """The verdict over one chunk."""

    items: list[ChunkItem]
    end: int
    durable: int
    next_ordinal: int
    torn: LostRecords | None = None
    closed: bool = False
    findings: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[ManifestRecord]:
        return [item for item in self.items if isinstance(item, ManifestRecord)]

    @property
    def damage(self) -> list[LostRecords]:
        return [item for item in self.items if isinstance(item, LostRecords)]


def decode_manifest_record(data: memoryview, at: int, end: int) -> ManifestRecord | None:
    """The record at `at`, if both checksums match and it ends at or before
    `end`. Raises VersionError for a flag that must be understood."""
    extent = record_extent(data, at)
    if extent is None or at + extent > min(end, len(data)):
        return None
    values = _RECORD.unpack_from(data, at)
    if crc64(data[at + 8 : at + extent]) != values[0]:
        return None
    _, kind, flags, size, segment_id, logical, timestamp, ordinal, unsynced, _ = values
    if flags & 0xFF:
        raise VersionError(f"manifest record at {at}: unknown flags {flags & 0xFF:#x}")
    payload = bytes(data[at + RECORD_HEADER_LENGTH : at + RECORD_HEADER_LENGTH + size])
    return ManifestRecord(
        at, extent, kind, flags, segment_id, logical, timestamp, ordinal, unsynced, payload,
    )  # fmt: skip


def record_extent(data: memoryview, at: int) -> int | None:
    """The length of the record at `at` with its padding, if its header's own
    checksum vouches for it."""
    if at + RECORD_HEADER_LENGTH > len(data):
        return None
    size, checksum = struct.unpack_from("<I36xI", data, at + 12)
    if crc32c(data[at + 8 : at + 52]) != checksum:
        return None
    return round8(RECORD_HEADER_LENGTH + size)


class ChunkReader:
    """Judges one chunk. `base` is the ordinal of its first record; `next_base`
    that of the chunk behind it, if there is one; `snapshot_at` a place before
    which everything was durable."""

    def __init__(
        self, data: memoryview, header: ChunkHeader | None, base: int,
        next_base: int | None = None, snapshot_at: int = 0,
    ) -> None:  # fmt: skip
        self.data = data
        self.header = header
        self.next_base = next_base
        self.limit = len(data)
        if header is not None and header.sealed:
            self.limit = min(self.limit, CHUNK_HEADER_LENGTH + header.record_bytes)
            self.next_base = base + header.record_count
        self.stop = min(self.limit, last_nonzero(data, min(CHUNK_HEADER_LENGTH, len(data))))
        truncated = header is not None and len(data) < header.allocated_bytes
        self.ended = self.next_base is not None or truncated
        self.scan = ChunkScan([], CHUNK_HEADER_LENGTH, max(CHUNK_HEADER_LENGTH, snapshot_at), base)

    def run(self) -> ChunkScan:
        while self.scan.end < self.stop:
            if self.next_base is not None and self.scan.next_ordinal >= self.next_base:
                break
            record = self._record(self.scan.end, self.scan.next_ordinal, self.scan.next_ordinal)
            if record is None:
                record = self._behind_damage()
            if record is None:
                break
            self.scan.items.append(record)
            self.scan.end = record.offset + record.length
            self.scan.next_ordinal = record.ordinal + 1
        for item in self.scan.records:
            self.scan.durable = max(self.scan.durable, item.offset - item.unsynced)
        if self.ended:
            self._lost_at_the_end()
        else:
            self._cut_torn()
        self.scan.closed = _is_closed(self.scan, self.stop)
        return self.scan

    def _record(self, at: int, lowest: int, highest: int) -> ManifestRecord | None:
        if at + RECORD_HEADER_LENGTH > self.limit:
            return None
        ordinal = int(struct.unpack_from("<Q", self.data, at + 40)[0])
        if not lowest <= ordinal <= highest:
            return None
        if self.next_base is not None and ordinal >= self.next_base:
            return None
        return decode_manifest_record(self.data, at, self.limit)

    def _behind_damage(self) -> ManifestRecord | None:
        start, expected = self.scan.end, self.scan.next_ordinal
        for at in range(start + 8, round8(self.stop), 8):
            record = self._record(at, expected, expected + (at - start) // RECORD_HEADER_LENGTH)
            if record is not None:
                self.scan.items.append(LostRecords(start, at, expected, record.ordinal - 1))
                return record
        end = min(round8(self.stop), len(self.data))
        last = expected + self._lost(start, end) - 1
        self.scan.items.append(LostRecords(start, end, expected, last))
        self.scan.end, self.scan.next_ordinal = end, last + 1
        return None

    def _lost(self, start: int, end: int) -> int:
        extent = record_extent(self.data, start)
        if extent is not None:
            return 1 + -(-max(0, end - start - extent) // RECORD_HEADER_LENGTH)
        return max(1, (end - start) // RECORD_HEADER_LENGTH)

    def _lost_at_the_end(self) -> None:
        """A chunk that was durable to its end lacks nothing but by damage."""
        scan = self.scan
        if self.next_base is None:
            return
        tail = scan.items[-1] if scan.items else None
        if isinstance(tail, LostRecords):
            last = max(tail.first_ordinal - 1, self.next_base - 1)
            scan.items[-1] = LostRecords(tail.offset, tail.end, tail.first_ordinal, last)
        elif scan.next_ordinal < self.next_base:
            end = max(scan.end, self.limit if self.header and self.header.sealed else scan.end)
            scan.items.append(LostRecords(scan.end, end, scan.next_ordinal, self.next_base - 1))
        scan.next_ordinal = max(scan.next_ordinal, self.next_base)

    def _cut_torn(self) -> None:
        for index, item in enumerate(self.scan.items):
            if isinstance(item, LostRecords) and item.offset >= self.scan.durable and self._is_torn(item):
                self.scan.torn = item
                del self.scan.items[index:]
                self.scan.end, self.scan.next_ordinal = item.offset, item.first_ordinal
                return

    def _is_torn(self, bad: LostRecords) -> bool:
        extent = record_extent(self.data, bad.offset) or RECORD_HEADER_LENGTH
        return sector_is_zero(self.data, bad.offset, min(len(self.data), bad.offset + extent))


def _is_closed(scan: ChunkScan, stop: int) -> bool:
    """Whether the chunk ends with the pair of LogClosed of a clean close."""
    if scan.torn or scan.damage or len(scan.items) < 2 or stop > scan.end:
        return False
    first, second = scan.records[-2:]
    if first.type != LOG_CLOSED or second.type != LOG_CLOSED:
        return False
    return second.offset % 512 == 0 and second.offset == first.offset + first.length
