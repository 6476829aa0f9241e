"""Structures of a segment file: header, record, control record, footer.

docs/segment-format.md is the source of every number here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from .crc import crc32c
from .errors import CorruptError, FormatError, NotOursError, VersionError
from .fields import check_flags, check_preamble, decode_text, last_nonzero, round8

HEADER_LENGTH = 128
RECORD_HEADER_LENGTH = 48
SHORTEST_RECORD = 56
LONGEST_RECORD = 2013265920
FOOTER_LENGTH = 192
LONGEST_FILE = 1 << 31
HIGHEST_SEQ = 9223372036854775806
VERSION = 3

SNAPSHOT_BOUNDARY = 1
CONTROL = 2
BATCH_CONTINUES = 4
_KNOWN_RECORD_FLAGS = SNAPSHOT_BOUNDARY | CONTROL | BATCH_CONTINUES

DURABLE_MARK = 1
CLOSE_MARK = 2
EPOCH_MARK = 3
SEAL_MARK = 4
CONTROL_NAMES = {
    DURABLE_MARK: "durable mark",
    CLOSE_MARK: "close mark",
    EPOCH_MARK: "epoch mark",
    SEAL_MARK: "seal mark",
}

SEALED = 1
COMPACTED = 2
PARTIAL = 4
FLUSH_FAILURE = 8

_HEADER = struct.Struct("<QQQqQQQ")
_RECORD = struct.Struct("<IIQqQIIHHI")
_FOOTER = struct.Struct("<QQQQQQQQqqQQQQQQQQ")


@dataclass(frozen=True)
class Header:
    """The first 128 bytes of a segment. Times in ns since the epoch, UTC."""

    flags: int
    log_id: int
    segment_id: int
    base_seq: int
    created_ns: int
    epoch: int
    salt: int
    allocated_bytes: int
    """Length of the file until it is sealed; 0 if that is not known."""


def decode_header(data: memoryview) -> Header:
    """Raises FormatError of the kind that fits."""
    flags = check_preamble(data, b"AOF2SEGM", VERSION, HEADER_LENGTH, "segment header")
    if crc32c(data[:124]) != struct.unpack_from("<I", data, 124)[0]:
        raise CorruptError("segment header: checksum does not match")
    check_flags(flags, 0, "segment header")
    header = Header(flags, *_HEADER.unpack_from(data, 16))
    if not 1 <= header.base_seq <= HIGHEST_SEQ:
        raise CorruptError(f"segment header: base seq {header.base_seq}")
    if header.allocated_bytes and not HEADER_LENGTH <= header.allocated_bytes <= LONGEST_FILE:
        raise CorruptError(f"segment header: {header.allocated_bytes} bytes allocated")
    return header


def header_checksum_holds(data: memoryview) -> bool:
    """Tells a header of a version that is not known from one that is damaged."""
    return len(data) >= HEADER_LENGTH and crc32c(data[:124]) == struct.unpack_from("<I", data, 124)[0]


@dataclass(frozen=True)
class Record:
    """A record that verified, at `offset` of its file; `length` has its padding.
    Its bytes are borrowed from the file's and copied when they are asked for."""

    source: memoryview = field(repr=False, compare=False)
    offset: int
    length: int
    seq: int
    timestamp: int
    ext_id: int
    unsynced: int
    flags: int
    body_length: int
    subject_length: int
    headers_length: int

    def _part(self, start: int, end: int) -> bytes:
        begin = self.offset + RECORD_HEADER_LENGTH
        return bytes(self.source[begin + start : begin + end])

    @property
    def subject_bytes(self) -> bytes:
        return self._part(0, self.subject_length)

    @property
    def headers_bytes(self) -> bytes:
        return self._part(self.subject_length, self.subject_length + self.headers_length)

    @property
    def body(self) -> bytes:
        """The payload, or the whole body of a control record."""
        return self._part(self.subject_length + self.headers_length, self.body_length)

    def content(self) -> tuple[int, int, int, int, bytes, bytes, bytes]:
        """All that a user put into the record, and its sequence."""
        return (
            self.seq, self.timestamp, self.ext_id, self.flags, self.subject_bytes, self.headers_bytes, self.body,
        )  # fmt: skip

    @property
    def end(self) -> int:
        return self.offset + self.length

    @property
    def is_control(self) -> bool:
        return bool(self.flags & CONTROL)

    @property
    def kind(self) -> int:
        """Which control record this is; 0 for a data record."""
        return self.body[0] if self.is_control else 0

    @property
    def continues(self) -> bool:
        return bool(self.flags & BATCH_CONTINUES)

    @property
    def interpreted(self) -> bool:
        """False if a newer version gave it a meaning that is not known here."""
        return not self.flags & 0xFF & ~_KNOWN_RECORD_FLAGS

    @property
    def subject(self) -> str:
        return decode_text(memoryview(self.subject_bytes), f"subject of record {self.seq}")

    def headers(self) -> dict[bytes, list[bytes]]:
        """Keys in the order of the record, values in the order given, without the
        blanks and tabs in front that NATS clients leave out."""
        lines = self.headers_bytes
        headers: dict[bytes, list[bytes]] = {}
        if not lines:
            return headers
        if not lines.endswith(b"\r\n"):
            raise CorruptError(f"headers of record {self.seq}: the last line does not end")
        for line in lines[:-2].split(b"\r\n"):
            key, separator, value = line.partition(b": ")
            if not separator:
                raise CorruptError(f"headers of record {self.seq}: a line without ': '")
            headers.setdefault(key, []).append(value.lstrip(b" \t"))
        return headers

    def epoch(self) -> int | None:
        """The epoch of an epoch mark."""
        if self.kind != EPOCH_MARK or len(self.body) < 16:
            return None
        return int(struct.unpack_from("<Q", self.body, 8)[0])


@dataclass(frozen=True)
class RecordHeader:
    """The 48 bytes before a body, not yet verified in any way."""

    checksum: int
    body_length: int
    seq: int
    timestamp: int
    ext_id: int
    unsynced: int
    headers_length: int
    subject_length: int
    flags: int
    header_checksum: int

    @property
    def length(self) -> int:
        return round8(RECORD_HEADER_LENGTH + self.body_length)

    @property
    def lengths_agree(self) -> bool:
        if not 1 <= self.body_length or self.length > LONGEST_RECORD:
            return False
        if self.flags & CONTROL:
            return self.headers_length == 0 == self.subject_length
        return self.subject_length >= 1 and self.headers_length + self.subject_length <= self.body_length


def record_header(data: memoryview, at: int) -> RecordHeader | None:
    """What stands at `at`, if 48 bytes are there."""
    if at + RECORD_HEADER_LENGTH > len(data):
        return None
    return RecordHeader(*_RECORD.unpack_from(data, at))


def header_verifies(data: memoryview, at: int, header: RecordHeader, seed: int) -> bool:
    return crc32c(data[at + 4 : at + 44], seed) == header.header_checksum


def decode_record(data: memoryview, at: int, end: int, seed: int) -> Record | None:
    """The record at `at`, if both checksums hold, its lengths agree and it ends
    at or before `end`. Whether its sequence fits is for the caller to judge.
    `seed` is the low half of the salt."""
    header = record_header(data, at)
    if header is None or not header.lengths_agree or at + header.length > min(end, len(data)):
        return None
    if not header_verifies(data, at, header, seed):
        return None
    if crc32c(data[at + 4 : at + header.length], seed) != header.checksum:
        return None
    return Record(
        data, at, header.length, header.seq, header.timestamp, header.ext_id, header.unsynced, header.flags,
        header.body_length, header.subject_length, header.headers_length,
    )  # fmt: skip


@dataclass(frozen=True)
class Footer:
    """The last 192 bytes of a sealed segment."""

    flags: int
    log_id: int
    segment_id: int
    salt: int
    epoch: int
    base_seq: int
    record_count: int
    first_seq: int
    last_seq: int
    first_ts: int
    max_ts: int
    first_ext_id: int
    last_ext_id: int
    durable_bytes: int
    watermark: int
    segment_crc64: int
    index_offset: int
    index_length: int
    index_crc64: int


def decode_footer(data: memoryview) -> Footer:
    """Raises FormatError of the kind that fits."""
    flags = check_preamble(data, b"AOF2FOOT", VERSION, FOOTER_LENGTH, "footer")
    if crc32c(data[:188]) != struct.unpack_from("<I", data, 188)[0]:
        raise CorruptError("footer: checksum does not match")
    check_flags(flags, SEALED | COMPACTED | PARTIAL | FLUSH_FAILURE, "footer")
    return Footer(flags, *_FOOTER.unpack_from(data, 16))


def footer_at(data: memoryview, at: int, log_id: int, segment_id: int) -> Footer:
    """The footer at file offset `at`. It counts only if it is this file's and
    stands where it says."""
    footer = decode_footer(data[at : at + FOOTER_LENGTH])
    if (footer.log_id, footer.segment_id) != (log_id, segment_id):
        raise NotOursError(f"footer at {at}: of log {footer.log_id:016x}, segment {footer.segment_id}")
    if footer.index_offset < HEADER_LENGTH or footer.index_offset + footer.index_length != at:
        raise CorruptError(f"footer at {at}: an index of {footer.index_length} bytes at {footer.index_offset}")
    return footer


def find_footer(data: memoryview, log_id: int, segment_id: int) -> int | None:
    """Where the footer stands: at the end, else backwards from the last byte
    that is not zero in steps of 8. None if no footer counts."""
    for at in _footer_places(data):
        try:
            footer_at(data, at, log_id, segment_id)
        except VersionError:
            if crc32c(data[at : at + 188]) == struct.unpack_from("<I", data, at + 188)[0]:
                raise
        except FormatError:
            continue
        else:
            return at
    return None


def _footer_places(data: memoryview) -> Iterator[int]:
    if len(data) >= HEADER_LENGTH + FOOTER_LENGTH:
        yield len(data) - FOOTER_LENGTH
    raw = bytes(data[: last_nonzero(data)])
    at = raw.rfind(b"AOF2FOOT")
    while at >= HEADER_LENGTH:
        if at % 8 == 0 and at + FOOTER_LENGTH <= len(data):
            yield at
        at = raw.rfind(b"AOF2FOOT", 0, at)
