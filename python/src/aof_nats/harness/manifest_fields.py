"""Field tables of the manifest, as they stand in docs/manifest-format.md."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Union

from .errors import CorruptError
from .fields import Cursor


class Location(NamedTuple):
    """A range of an object in a bucket."""

    bucket: int
    offset: int
    length: int
    transform: int
    key_id: int


Value = Union[int, str, bytes, Location, tuple[tuple[int, ...], ...]]

HOT, WARM, COLD = 0, 1, 2
TIER_NAMES = ("hot", "warm", "cold")


def tier_set(bits: int) -> str:
    names = [name for tier, name in enumerate(TIER_NAMES) if bits >> tier & 1]
    return "+".join(names) or "none"


REASONS = (
    "transient", "codec", "authentication", "unavailable", "object_missing", "checksum", "no_space", "fenced",
    "cancelled",
)  # fmt: skip


def reason_name(code: int) -> str:
    return REASONS[code] if code < len(REASONS) else f"reason_{code}"


# id: name, what the segment id in the record's header is, payload
RECORD_TYPES: dict[int, tuple[str, str, str]] = {
    0: ("SegmentOpened", "segment", "u64 base seq, u64 epoch, u64 salt"),
    1: (
        "SealSegment",
        "segment",
        "u64 durable bytes, u64 segment crc64, u64 first seq, u64 last seq, i64 first ts, i64 max ts, "
        "u64 record count, u64 last ext_id, u64 coordinator watermark, bool flush failure",
    ),
    2: ("CompressionStarted", "segment", "u64 job id"),
    3: (
        "CompressionDone",
        "segment",
        "u64 object bytes, u32 tail bytes, u64 warm crc64, u32 dictionary id, u8 subjects kind, "
        "u32 subjects count, blob subjects",
    ),
    4: ("CompressionFailed", "segment", "u32 reason, u16 attempt"),
    5: ("UploadStarted", "segment or 0", "location location, str key, u32 generation"),
    6: ("UploadDone", "segment or 0", "location location, str key, str etag, u64 object bytes, u32 tail bytes"),
    7: ("UploadFailed", "segment or 0", "str key, u32 reason, u16 attempt"),
    8: ("Tier2DeleteQueued", "segment or 0", "location location, str key, i64 not-before ns"),
    9: ("Tier2Deleted", "segment or 0", "location location, str key"),
    10: ("HydrationStarted", "segment", "u8 source tier, u8 target tier"),
    11: ("HydrationDone", "segment", "u64 resident bytes"),
    12: ("HydrationFailed", "segment", "u32 reason, u16 attempt"),
    13: ("LocalEvicted", "segment", "u8 tier, u64 reclaimed bytes"),
    14: ("SnapshotMarker", "log", "u64 snapshot id, u64 chunk index, u64 chunk offset"),
    15: ("CustomEvent", "segment or 0", "u32 schema id, blob blob"),
    16: ("Tier2Throttle", "segment or 0", "u32 reason, u64 retry-after ms"),
    17: ("SegmentVerified", "segment", "u8 tier, u64 bytes read"),
    18: ("SegmentQuarantined", "segment", "u8 tier, u32 reason, u64 offset, u64 length"),
    19: ("LogTrimmed", "log", "u64 first seq kept"),
    20: ("OwnerChanged", "log", "u64 epoch, str owner name"),
    21: ("ChunkUploaded", "log", "u64 chunk index, str key"),
    22: ("LogClosed", "log", "u64 segment id, u64 close mark offset"),
    23: ("DictionaryAdded", "log", "u32 dictionary id, location location, str key, u64 crc64"),
}
USER_TYPES_FROM = 1024

# Sections of a snapshot; "each NAME: " repeats as often as the count before it.
LOG_STATE = (
    "u64 next seq, u64 next segment id, u64 trimmed-to seq, i64 last ts, i64 max ts, u64 last ext_id, u64 epoch, "
    "str owner name, i64 dedup window ns, u64 dedup max ids, u64 last snapshot id, u64 unknown records, bool closed, "
    "u64 closed segment id, u64 closed mark offset, u32 throttle reason, u64 throttle retry-after ms, "
    "i64 throttle ts, u32 uploaded chunk ranges, u64 each range: first chunk index, u64 each range: last chunk index"
)
SEGMENT = (
    "u64 segment id, bool opened, u64 base seq, u64 epoch, u64 salt, i64 opened ts, bool sealed, i64 sealed ts, "
    "u64 index offset, u64 durable bytes, u64 segment crc64, u64 first seq, u64 last seq, i64 first ts, i64 max ts, "
    "u64 record count, u64 last ext_id, bool flush failure, u8 resident tiers, u8 quarantined tiers, "
    "u32 quarantine marks, u8 each mark: tier, u32 each mark: reason, u64 each mark: offset, u64 each mark: length, "
    "i64 each mark: ts, i64 hot verified ts, i64 warm verified ts, i64 cold verified ts, bool compressing, "
    "u64 compression job id, u32 compression failure reason, u16 compression failure attempt, bool hydrating, "
    "u8 hydration source tier, u8 hydration target tier, u32 hydration failure reason, "
    "u16 hydration failure attempt, u64 warm object bytes, u32 warm tail bytes, u64 warm crc64, u32 dictionary id, "
    "u8 subjects kind, u32 subjects count, blob subjects, location cold location, str cold key, str cold etag, "
    "u64 cold object bytes, u32 cold tail bytes, u32 cold generation, bool cold delete queued, u32 next generation"
)
UPLOAD = (
    "str key, u64 segment id, location location, u32 generation, i64 started ts, u64 ordinal, u32 failure reason, "
    "u16 failure attempt, bool confirmed"
)
DELETE = "str key, u64 segment id, location location, i64 not-before ns, i64 queued ts, u64 ordinal"
DICTIONARY = "u32 dictionary id, location location, str key, u64 crc64, i64 added ts"


class Fields(dict[str, Value]):
    """Named values of a payload or an item; `rest` are bytes that a newer
    version added behind the fields that are known here."""

    rest: bytes = b""

    def num(self, name: str) -> int:
        value = self[name]
        if not isinstance(value, int):
            raise CorruptError(f"field {name} is {value!r} and no number")
        return value

    def text(self, name: str) -> str:
        value = self[name]
        if not isinstance(value, str):
            raise CorruptError(f"field {name} is {value!r} and no text")
        return value

    def groups(self, name: str) -> tuple[tuple[int, ...], ...]:
        value = self[name]
        assert isinstance(value, tuple) and not isinstance(value, Location)
        return value


def _bool(cursor: Cursor) -> int:
    value = cursor.u8()
    if value > 1:
        raise CorruptError(f"a bool is {value}")
    return bool(value)


def _location(cursor: Cursor) -> Location:
    return Location(cursor.u32(), cursor.u64(), cursor.u64(), cursor.u32(), cursor.u32())


_READERS: dict[str, Callable[[Cursor], Any]] = {
    "u8": Cursor.u8,
    "u16": Cursor.u16,
    "u32": Cursor.u32,
    "u64": Cursor.u64,
    "i64": Cursor.i64,
    "bool": _bool,
    "str": lambda cursor: cursor.text(cursor.u16()),
    "blob": lambda cursor: bytes(cursor.take(cursor.u32())),
    "location": _location,
}
_EMPTY: dict[str, Value] = {"str": "", "blob": b"", "location": Location(0, 0, 0, 0, 0), "bool": False}


def schema(table: str) -> list[tuple[str, str]]:
    """The (type, name) pairs of a table."""
    pairs = []
    for column in table.split(", "):
        kind, _, name = column.partition(" ")
        pairs.append((kind, name))
    return pairs


def decode_fields(table: str, data: memoryview, what: str) -> Fields:
    """Takes the fields of a table off data; what is left is kept as rest."""
    cursor = Cursor(data, what)
    fields = Fields()
    pairs = schema(table)
    previous = ""
    at = 0
    while at < len(pairs):
        kind, name = pairs[at]
        if name.startswith("each "):
            group = []
            while at < len(pairs) and pairs[at][1].startswith("each "):
                group.append(pairs[at][0])
                at += 1
            fields[previous] = _decode_groups(cursor, group, fields.num(previous))
            continue
        fields[name] = _READERS[kind](cursor)
        previous = name
        at += 1
    fields.rest = bytes(cursor.take(cursor.left))
    return fields


def _decode_groups(cursor: Cursor, kinds: list[str], count: int) -> tuple[tuple[int, ...], ...]:
    groups = []
    for _ in range(count):  # each takes bytes off the cursor: a wrong count ends there
        groups.append(tuple(_READERS[kind](cursor) for kind in kinds))
    return tuple(groups)


def empty_fields(table: str) -> Fields:
    """All fields of a table at zero."""
    fields = Fields()
    previous = ""
    for kind, name in schema(table):
        if name.startswith("each "):
            fields[previous] = ()
            continue
        fields[name] = _EMPTY.get(kind, 0)
        previous = name
    return fields
