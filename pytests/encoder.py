"""An encoder of segments, objects and chunks, for histories that no program writes
on demand.

It is as independent as the reader: from the format page alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import zstandard
from aof_nats.harness.crc import crc32c, crc64

HEADER = struct.Struct("<8sHHIQQQqQQQ52x")
RECORD = struct.Struct("<IQqQIIHH")
BATCH, CONTROL = 4, 2


def segment_header(log_id: int, segment_id: int, base_seq: int, salt: int, allocated: int = 0) -> bytes:
    head = HEADER.pack(b"AOF2SEGM", 3, 128, 0, log_id, segment_id, base_seq, 1, 1, salt, allocated)
    return head + struct.pack("<I", crc32c(head))


def encode_record(
    salt: int, seq: int, body: bytes, unsynced: int, flags: int = 0, subject: bytes = b"x.y", timestamp: int = 0,
) -> bytes:  # fmt: skip
    """A record, control records with an empty subject."""
    whole = subject + body
    padding = bytes(-(48 + len(whole)) % 8)
    head = RECORD.pack(len(whole), seq, timestamp, 0, unsynced, 0, len(subject), flags)
    seed = salt & 0xFFFFFFFF
    header_crc = crc32c(head, seed)
    tail = struct.pack("<I", header_crc) + whole + padding
    return struct.pack("<I", crc32c(tail, crc32c(head, seed))) + head + tail


@dataclass
class Writer:
    """A segment as a log would write it: commits, syncs, marks, and zeros behind."""

    log_id: int
    segment_id: int
    base_seq: int
    salt: int
    allocated: int = 0
    """The length of its file, if the header is to say it."""
    data: bytearray = field(default_factory=bytearray)
    synced: int = 0
    next_seq: int = 0
    places: list[int] = field(default_factory=list)
    """Where each data record begins."""

    def __post_init__(self) -> None:
        self.data += segment_header(self.log_id, self.segment_id, self.base_seq, self.salt, self.allocated)
        self.synced = len(self.data)
        self.next_seq = self.base_seq

    def append(self, body: bytes, flags: int = 0) -> None:
        self.places.append(len(self.data))
        unsynced = len(self.data) - self.synced
        self.data += encode_record(self.salt, self.next_seq, body, unsynced, flags, timestamp=self.next_seq * 1000)
        self.next_seq += 1

    def control(self, body: bytes) -> None:
        unsynced = len(self.data) - self.synced
        self.data += encode_record(self.salt, self.next_seq - 1, body, unsynced, CONTROL, b"")

    def sync(self) -> None:
        self.synced = len(self.data)

    def mark(self, kind: int) -> None:
        """A pair of marks: the first fills up its sector, the second begins the next."""
        self.sync()
        body = 512 - (len(self.data) + 48) % 512
        self.control(bytes([1]) + b"\xff" * (body - 1))
        assert len(self.data) % 512 == 0
        self.control(bytes([kind]) + bytes(7))
        self.sync()

    def file(self, length: int = 0) -> bytes:
        return bytes(self.data) + bytes(max(0, length - len(self.data)))


def seekable(parts: list[bytes]) -> bytes:
    """Parts as one zstd frame each, and a seek table behind them."""
    out, table = b"", b""
    for part in parts:
        frame = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(part)
        out += frame
        table += struct.pack("<II", len(frame), len(part)) + frame[-4:]
    table += struct.pack("<IBI", len(parts), 128, 0x8F92EAB1)
    return out + struct.pack("<II", 0x184D2A5E, len(table)) + table


def object_of(segment: bytes, cuts: list[int]) -> bytes:
    """A warm object: cut where frames of the index and the index itself begin."""
    places = [0, *cuts, len(segment)]
    return seekable([segment[a:b] for a, b in zip(places, places[1:])])


@dataclass
class ChunkWriter:
    """A chunk of a manifest, each record synced for itself."""

    log_id: int
    index: int = 1
    ordinal: int = 1
    previous: int = 0
    records: bytearray = field(default_factory=bytearray)
    base: int | None = None

    def append(self, kind: int, payload: bytes, segment: int = 0, logical: int = 0, unsynced: int = 0) -> None:
        self.base = self.ordinal if self.base is None else self.base
        head = struct.pack(
            "<HHIQQqQI", kind, 0, len(payload), segment, logical, self.ordinal * 1000, self.ordinal, unsynced
        )
        rest = head + struct.pack("<I", crc32c(head)) + payload + bytes(-len(payload) % 8)
        self.records += struct.pack("<Q", crc64(rest)) + rest
        self.ordinal += 1

    def file(self, sealed: bool = False, allocated: int = 1 << 16) -> bytes:
        base = self.ordinal if self.base is None else self.base
        sums = (self.ordinal - base, len(self.records), crc64(bytes(self.records))) if sealed else (0, 0, 0)
        head = struct.pack(
            "<8sHHIQQQQQQQQQ36x", b"AOF2MLOG", 2, 128, int(sealed), self.log_id, self.index, base, 1, self.previous,
            *sums, allocated,
        )  # fmt: skip
        whole = head + struct.pack("<I", crc32c(head)) + bytes(self.records)
        return whole if sealed else whole + bytes(allocated - len(whole))


def text(value: str) -> bytes:
    """A field of type str."""
    raw = value.encode()
    return struct.pack("<H", len(raw)) + raw
