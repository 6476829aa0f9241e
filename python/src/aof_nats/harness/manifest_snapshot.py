"""Snapshots of a manifest."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from .crc import crc32c, crc64
from .errors import CorruptError, FormatError, VersionError
from .fields import Cursor, check_flags, check_preamble
from .manifest_fields import DELETE, DICTIONARY, LOG_STATE, SEGMENT, UPLOAD, Fields, decode_fields

SNAPSHOT_HEADER_LENGTH = 128
SNAPSHOT_VERSION = 4
SECTIONS: dict[int, tuple[str, str]] = {
    1: ("log state", LOG_STATE),
    2: ("segments", SEGMENT),
    3: ("uploads", UPLOAD),
    4: ("deletes", DELETE),
    5: ("dictionaries", DICTIONARY),
}
CATALOG_PAGES = 6

_HEADER = struct.Struct("<QQQQQQqQ")


@dataclass(frozen=True)
class SnapshotHeader:
    """The first 128 bytes of a snapshot."""

    flags: int
    log_id: int
    snapshot_id: int
    chunk_index: int
    chunk_offset: int
    ordinal: int
    chain_value: int
    created_ns: int
    body_bytes: int


@dataclass
class Snapshot:
    """A snapshot that verified."""

    header: SnapshotHeader
    log: Fields
    items: dict[int, list[Fields]]
    """By kind of section: 2 segments, 3 uploads, 4 deletes, 5 dictionaries."""
    unknown_sections: list[int] = field(default_factory=list)
    catalog_pages: list[bytes] = field(default_factory=list)


def decode_snapshot_header(data: memoryview) -> SnapshotHeader:
    flags = check_preamble(data, b"AOF2SNAP", SNAPSHOT_VERSION, SNAPSHOT_HEADER_LENGTH, "snapshot header")
    if crc32c(data[:124]) != struct.unpack_from("<I", data, 124)[0]:
        raise CorruptError("snapshot header: checksum does not match")
    check_flags(flags, 0, "snapshot header")
    return SnapshotHeader(flags, *_HEADER.unpack_from(data, 16))


def decode_snapshot(data: memoryview) -> Snapshot:
    """Decodes a whole file. Raises FormatError."""
    header = decode_snapshot_header(data)
    end = SNAPSHOT_HEADER_LENGTH + header.body_bytes
    if end + 8 != len(data):
        raise CorruptError(f"snapshot: {len(data)} bytes, its header says {end + 8}")
    if crc64(data[:end]) != struct.unpack_from("<Q", data, end)[0]:
        raise CorruptError("snapshot: checksum does not match")
    cursor = Cursor(data[SNAPSHOT_HEADER_LENGTH:end], "snapshot")
    found: dict[int, list[memoryview]] = {}
    while cursor.left:
        kind, items = _section(cursor)
        if kind in found:
            raise CorruptError(f"snapshot: section {kind} stands twice")
        found[kind] = items
    return _interpret(header, found)


def _section(cursor: Cursor) -> tuple[int, list[memoryview]]:
    kind, flags, count, length = cursor.u16(), cursor.u16(), cursor.u32(), cursor.u64()
    if flags & 0xFF:
        raise VersionError(f"snapshot: section {kind} has unknown flags {flags & 0xFF:#x}")
    body = Cursor(cursor.take(length), f"snapshot section {kind}")
    items = []
    for _ in range(count):  # each takes bytes off the body: a wrong count ends there
        items.append(body.take(body.u32()))
    if body.left:
        raise CorruptError(f"snapshot: section {kind} has {body.left} bytes behind its items")
    return kind, items


def _interpret(header: SnapshotHeader, found: dict[int, list[memoryview]]) -> Snapshot:
    missing = [kind for kind in (*SECTIONS, CATALOG_PAGES) if kind not in found]
    if missing:
        raise CorruptError(f"snapshot: section {missing[0]} is missing")
    if len(found[1]) != 1:
        raise CorruptError(f"snapshot: {len(found[1])} items of log state")
    decoded = {
        kind: [decode_fields(table, item, f"snapshot: item of {name}") for item in found[kind]]
        for kind, (name, table) in SECTIONS.items()
    }
    for kind, name in ((2, "segment id"), (3, "key"), (4, "key"), (5, "dictionary id")):
        keys = [_sort_key(fields[name]) for fields in decoded[kind]]
        if keys != sorted(set(keys)):
            raise CorruptError(f"snapshot: items of section {kind} are not in order")
    unknown = [kind for kind in found if kind not in SECTIONS and kind != CATALOG_PAGES]
    log = decoded.pop(1)[0]
    return Snapshot(header, log, decoded, unknown, [bytes(page) for page in found[CATALOG_PAGES]])


def _sort_key(value: object) -> tuple[int, bytes]:
    """Keys are compared as bytes, ids as numbers."""
    if isinstance(value, int):
        return value, b""
    if isinstance(value, str):
        return 0, value.encode()
    raise FormatError(f"snapshot: {value!r} is no key")
