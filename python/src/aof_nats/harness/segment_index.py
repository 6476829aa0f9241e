"""The index block of a sealed segment, and its comparison with the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .crc import crc64
from .errors import CorruptError, VersionError
from .fields import U64, Cursor, round8
from .segment import HEADER_LENGTH
from .segment_scan import BadRange, Item

FRAME_BYTES = 131072
NO_TIMESTAMP = -(1 << 63)
DAMAGED_FRAME = 1
_FRAMES, _DICTIONARY, _FILTERS = 1, 2, 3


@dataclass(frozen=True)
class Frame:
    """One entry of the section frames."""

    first_seq: int
    max_ts_before: int
    offset: int
    flags: int


@dataclass(frozen=True)
class Subject:
    """What a dictionary says of one subject."""

    count: int
    first_seq: int
    last_seq: int
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Index:
    """A decoded index block: a dictionary or filters, or neither."""

    frames: tuple[Frame, ...]
    subjects: dict[bytes, Subject] | None
    filters: tuple[bytes, ...] | None


def decode_index(data: memoryview) -> Index:
    """Decodes a block whose CRC-64 was checked. Raises FormatError."""
    if len(data) % 8:
        raise CorruptError(f"index: {len(data)} bytes are no multiple of 8")
    cursor = Cursor(data, "index")
    version = cursor.u8()
    if version != 1:
        raise VersionError(f"index: version {version}, this reader knows 1")
    cursor.take(7)
    bodies = _sections(cursor)
    frames = _decode_frames(bodies[_FRAMES]) if _FRAMES in bodies else ()
    subjects = _decode_dictionary(bodies[_DICTIONARY]) if _DICTIONARY in bodies else None
    filters = _decode_filters(bodies[_FILTERS], len(frames)) if _FILTERS in bodies else None
    return Index(frames, subjects, filters)


def _sections(cursor: Cursor) -> dict[int, memoryview]:
    bodies: dict[int, memoryview] = {}
    while cursor.left >= 8:
        kind, length = cursor.u32(), cursor.u32()
        if kind == 0:
            break
        body = cursor.take(length)
        cursor.take(min(cursor.left, -length % 8))
        if kind in bodies:
            raise CorruptError(f"index: section {kind} stands twice")
        bodies[kind] = body
    if _DICTIONARY in bodies and _FILTERS in bodies:
        raise CorruptError("index: both a dictionary and filters")
    return bodies


def _decode_frames(body: memoryview) -> tuple[Frame, ...]:
    cursor = Cursor(body, "index: frames")
    count, length = cursor.u32(), cursor.u32()
    if length < 24:
        raise CorruptError(f"index: frames of {length} bytes")
    if count * length > cursor.left:
        raise CorruptError(f"index: {count} frames of {length} bytes in {cursor.left}")
    frames = []
    for _ in range(count):
        entry = Cursor(cursor.take(length), "index: frame")
        frames.append(Frame(entry.u64(), entry.i64(), entry.u32(), entry.u32()))
    return tuple(frames)


def _decode_dictionary(body: memoryview) -> dict[bytes, Subject]:
    cursor = Cursor(body, "index: dictionary")
    base, count = cursor.varint(), cursor.varint()
    subjects: dict[bytes, Subject] = {}
    previous = b""
    for _ in range(count):  # each takes bytes off the cursor: a wrong count ends there
        name = bytes(cursor.take(cursor.varint()))
        if subjects and name <= previous:
            raise CorruptError("index: subjects out of order")
        records = cursor.varint()
        first = base + cursor.varint()
        last = first + cursor.varint()
        subjects[name] = Subject(records, first, last, _frame_numbers(cursor))
        previous = name
    return subjects


def _frame_numbers(cursor: Cursor) -> tuple[int, ...]:
    numbers: list[int] = []
    for _ in range(cursor.varint()):
        step = cursor.varint()
        numbers.append(numbers[-1] + step if numbers else step)
    return tuple(numbers)


def _decode_filters(body: memoryview, frames: int) -> tuple[bytes, ...]:
    cursor = Cursor(body, "index: filters")
    filters = []
    for _ in range(frames):
        length = cursor.varint()
        if length % 8:
            raise CorruptError(f"index: a filter of {length} bytes")
        filters.append(bytes(cursor.take(length)))
    return tuple(filters)


def filter_may_hold(bits: bytes, subject: bytes) -> bool:
    """Whether a frame's filter lets the subject through."""
    if not bits:
        return False
    crc = crc64(subject)
    start, stride = _mix(crc), _mix((crc + 0x9E3779B97F4A7C15) & U64) | 1
    size = 8 * len(bits)
    for i in range(7):
        bit = ((start + i * stride) & U64) * size >> 64
        if not bits[bit // 8] >> bit % 8 & 1:
            return False
    return True


def _mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & U64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & U64
    return x ^ x >> 31


class _Expected:
    """What the index of these items has to say."""

    def __init__(self, items: Sequence[Item], next_seq: int) -> None:
        self.frames: list[Frame] = []
        self.subjects: dict[bytes, Subject] = {}
        self.by_frame: list[set[bytes]] = []
        due = HEADER_LENGTH
        maximum = NO_TIMESTAMP
        for item in items:
            if item.offset >= due:
                self.frames.append(Frame(next_seq, maximum, item.offset, 0))
                self.by_frame.append(set())
                due = item.offset + FRAME_BYTES
            if isinstance(item, BadRange):
                last = self.frames[-1]
                self.frames[-1] = Frame(last.first_seq, last.max_ts_before, last.offset, DAMAGED_FRAME)
            elif not item.is_control:
                maximum = max(maximum, item.timestamp)
                self._count(item.subject_bytes, item.seq)
        self._first_seqs(items, next_seq)

    def _count(self, name: bytes, seq: int) -> None:
        frame = len(self.frames) - 1
        self.by_frame[frame].add(name)
        old = self.subjects.get(name)
        if old is None:
            self.subjects[name] = Subject(1, seq, seq, (frame,))
            return
        frames = old.frames if old.frames[-1] == frame else old.frames + (frame,)
        self.subjects[name] = Subject(old.count + 1, old.first_seq, seq, frames)

    def _first_seqs(self, items: Sequence[Item], next_seq: int) -> None:
        """First seq: of the first data record or damaged sequence at or behind."""
        seq = next_seq
        at = 0
        for number, frame in enumerate(self.frames):
            while items[at].offset < frame.offset:
                item = items[at]
                if isinstance(item, BadRange):
                    seq = item.last_seq + 1
                elif not item.is_control:
                    seq = item.seq + 1
                at += 1
            self.frames[number] = Frame(seq, frame.max_ts_before, frame.offset, frame.flags)


def compare_index(index: Index, items: Sequence[Item], base_seq: int) -> list[str]:
    """All that the index says and the records do not, in words. The items must
    be those that the index was made of: the segment's checksum holds."""
    expected = _Expected(items, base_seq)
    findings = []
    for number, frame in enumerate(expected.frames):
        if number >= len(index.frames) or index.frames[number] != frame:
            found = index.frames[number] if number < len(index.frames) else None
            findings.append(f"frame {number} is {found}, the records say {frame}")
    if len(index.frames) > len(expected.frames):
        findings.append(f"{len(index.frames)} frames, the records have {len(expected.frames)}")
    if index.subjects is not None:
        findings += _compare_dictionary(index.subjects, expected.subjects)
    if index.filters is not None:
        findings += _compare_filters(index.filters, expected.by_frame)
    if index.subjects is None and index.filters is None:
        findings.append("neither a dictionary nor filters")
    return findings


def _compare_dictionary(found: dict[bytes, Subject], expected: dict[bytes, Subject]) -> list[str]:
    findings = []
    for name in sorted(set(found) | set(expected)):
        if found.get(name) != expected.get(name):
            findings.append(f"subject {name!r} is {found.get(name)}, the records say {expected.get(name)}")
    return findings


def _compare_filters(filters: Sequence[bytes], by_frame: Sequence[set[bytes]]) -> list[str]:
    findings = []
    for number, (bits, names) in enumerate(zip(filters, by_frame)):
        if not names and bits:
            findings.append(f"frame {number} has a filter and no data record")
        if names and len(bits) != filter_bytes(len(names)):
            findings.append(f"frame {number} has a filter of {len(bits)} bytes for {len(names)} subjects")
        missing = [name for name in sorted(names) if not filter_may_hold(bits, name)]
        if missing:
            findings.append(f"frame {number}: the filter denies subject {missing[0]!r}")
    return findings


def filter_bytes(subjects: int) -> int:
    """The length of the filter that a writer makes for so many subjects."""
    return 8 * -(-(10 * subjects + 32) // 64)


def index_reserve(record_bytes: int) -> int:
    """The longest index block that a writer may need for so many record bytes."""
    return round8(record_bytes * 3 // 100 + 24 * (record_bytes // FRAME_BYTES) + 598)


__all__ = [
    "Frame", "Index", "Subject", "compare_index", "decode_index", "filter_bytes", "filter_may_hold", "index_reserve",
]  # fmt: skip
