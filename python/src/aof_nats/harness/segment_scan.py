"""Recovery: what of a segment file is part of the log.

The numbers in comments are those of the rules in docs/segment-format.md,
"Recovery: what is part of the log".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Union

from .fields import last_nonzero, round8, sector_is_zero
from .segment import (
    CLOSE_MARK,
    CONTROL,
    HEADER_LENGTH,
    HIGHEST_SEQ,
    LONGEST_FILE,
    RECORD_HEADER_LENGTH,
    SEAL_MARK,
    SHORTEST_RECORD,
    Record,
    decode_record,
    header_verifies,
    record_header,
)

_PEEK = struct.Struct("<IQ")


@dataclass(frozen=True)
class Known:
    """What a footer, the manifest or the next file say of a segment."""

    records_end: int | None = None
    last_seq: int | None = None
    close_mark: int | None = None
    """The recorded close: the offset of the close mark that the manifest names."""
    header_lost: bool = False
    """The manifest has the segment as opened, and its header does not verify."""
    closed: bool = False
    """Nothing was recorded in the manifest behind the recorded close."""
    allocated: int = 0
    """The length that the file was prepared with, 0 if that is not known."""

    @property
    def complete(self) -> bool:
        return self.last_seq is not None

    @property
    def close(self) -> int | None:
        """c, if the recorded close counts."""
        c = self.close_mark
        if c is None or self.complete or c % 512 or not 512 <= c <= LONGEST_FILE - SHORTEST_RECORD:
            return None
        return c

    @property
    def ends_with_close(self) -> bool:
        """Whether the records are known to end with the recorded close."""
        return self.closed and self.close is not None

    def room_lost(self, length: int) -> int:
        """How many sequences may have been given out of a file of that length in
        which nothing verifies. One that ends inside its header was made shorter."""
        if length < HEADER_LENGTH and not self.ends_with_close:
            length = LONGEST_FILE
        return max(1, length // SHORTEST_RECORD)


@dataclass(frozen=True)
class BadRange:
    """Bytes [offset, end) that do not verify, and the sequences that were
    there; last_seq is first_seq - 1 if there were none."""

    offset: int
    end: int
    first_seq: int
    last_seq: int
    torn: bool = False

    @property
    def count(self) -> int:
        return self.last_seq - self.first_seq + 1


Item = Union[Record, BadRange]


def _lost_behind_header(item: Item, known: Known) -> bool:
    """Whether the loss of the header proves a range to be damage."""
    return known.header_lost and not known.complete and isinstance(item, BadRange) and item.offset == HEADER_LENGTH


@dataclass
class Scan:
    """The verdict over one segment file."""

    items: list[Item]
    """Records, control records included, and damage, in the order of the file."""
    end: int
    """Where what is part of the log ends."""
    durable: int
    """D: everything before it was durable."""
    next_seq: int
    """The sequence behind the last record or damaged sequence."""
    last_nonzero: int
    complete: bool
    sealed: bool
    """A seal mark is the last record."""
    closed: bool
    """The segment may be continued."""
    torn: BadRange | None = None
    """What the log was cut at."""
    batch_cut: list[Record] = field(default_factory=list)
    """Records of an atomic batch that never became whole."""
    known: Known = Known()
    short: bool = False
    """Something made the file shorter, and nothing that is known explains it."""

    @property
    def damage(self) -> list[BadRange]:
        return [item for item in self.items if isinstance(item, BadRange)]

    @property
    def records(self) -> list[Record]:
        """Data records only."""
        return [item for item in self.items if isinstance(item, Record) and not item.is_control]

    def durable_items(self) -> list[Item]:
        """What a reader that must not write may believe: all that lies before D,
        and what is lost with the header. Of a file that was made shorter all."""
        if self.short:
            return self.items
        return [item for item in self.items if item.offset < self.durable or _lost_behind_header(item, self.known)]


def scan(data: memoryview, salt: int, base_seq: int, known: Known) -> Scan:
    """Judges the bytes of one file. Never raises: whatever does not verify is a
    finding."""
    walk = _Walk(data, salt & 0xFFFFFFFF, base_seq, known)
    walk.run()
    return _judge(walk)


def last_lost(base_seq: int, length: int, known: Known) -> int:
    """The last sequence that may have been given out of a file of that length in
    which nothing can be verified, 0 if it is not there."""
    closed = scan(memoryview(b""), 0, base_seq, Known(close_mark=known.close_mark)).next_seq - 1
    return max(closed, base_seq + known.room_lost(length) - 1)


class _Walk:
    """Rules 1 and 2: all that verifies, and the bad ranges between."""

    def __init__(self, data: memoryview, seed: int, base_seq: int, known: Known) -> None:
        self.data = data
        self.seed = seed
        self.known = known
        self.limit = len(data) if known.records_end is None else min(len(data), known.records_end)
        self.nonzero = last_nonzero(data, min(HEADER_LENGTH, len(data)))
        self.stop = min(self.nonzero, self.limit)
        self.items: list[Item] = []
        self.at = HEADER_LENGTH
        self.base = base_seq
        self.expected = base_seq
        self.sealed = False
        self.cut_off = len(data) < known.allocated
        self.short = self.cut_off and not known.complete and known.records_end is None and not known.ends_with_close

    def run(self) -> None:
        if self._records():
            self._lose_end()
        if self.known.header_lost and not self.known.complete and not any(isinstance(i, Record) for i in self.items):
            self._lose_all()

    def _records(self) -> bool:
        """Walks all that is there. True if it ends with zeros, no bytes or a seal
        mark, and not with a bad range."""
        while self.at < self.stop and not self.sealed:
            record = self._record(self.at)
            if record is None:
                start = self.at
                record = self._resynchronise()
                if record is None and self.at > start and self.at == self._close_end():
                    continue
            elif self._above(record):
                return False
            if record is None:
                return False
            self.items.append(record)
            self.at = record.end
            self.expected = record.seq + 1
            self.sealed = record.kind == SEAL_MARK
        return True

    def _lose_end(self) -> None:
        """What is missing where reading ended."""
        if self.sealed:
            self.short = False
        elif self.short:
            last = self.expected + self._lost(self.at, self.at) - 1
            self.items.append(BadRange(self.at, self.at, self.expected, last))
            self.expected = last + 1
        elif self.known.close is not None and self.at < self.known.close:
            self._lose_to_close(self.known.close)

    def _lose_all(self) -> None:
        """The header is lost and nothing verifies: what was there is not known."""
        last = max(self.expected - 1, self.base - 1 + self.known.room_lost(len(self.data)))
        self.items = [BadRange(HEADER_LENGTH, self.at, self.base, last)]
        self.expected = last + 1

    def _close_end(self) -> int | None:
        return None if self.known.close is None else self.known.close + SHORTEST_RECORD

    def _lose_to_close(self, close: int) -> None:
        """Nothing verifies any more before the end of a recorded close."""
        start, count, used = self.at, 0, self.at
        header = record_header(self.data, start)
        if header is not None and header_verifies(self.data, start, header, self.seed):
            used += header.length
            count = 0 if header.flags & CONTROL else 1
        count += max(0, close - SHORTEST_RECORD - used) // SHORTEST_RECORD
        end = max(start, min(close + SHORTEST_RECORD, len(self.data) & ~7))
        self.items.append(BadRange(start, end, self.expected, self.expected + count - 1))
        self.at, self.expected = end, self.expected + count

    def _record(self, at: int) -> Record | None:
        """The record at `at` if it verifies with the sequence that is due."""
        record = decode_record(self.data, at, self.limit, self.seed)
        if record is None or _counted(record) != self.expected or record.seq > HIGHEST_SEQ:
            return None
        return record

    def _above(self, record: Record) -> bool:
        last = self.known.last_seq
        return last is not None and record.seq > last

    def _resynchronise(self) -> Record | None:
        start = self.at
        for at in range(start, round8(self.stop), 8):
            if at + RECORD_HEADER_LENGTH > self.limit:
                break
            body, seq = _PEEK.unpack_from(self.data, at + 4)
            if not body or not self._may_be(at, seq):
                continue
            record = decode_record(self.data, at, self.limit, self.seed)
            if record is not None and self._fits(record, at - start):
                self.items.append(BadRange(start, at, self.expected, _counted(record) - 1))
                return record
        if not self.short and self.known.close is not None and start < self.known.close + SHORTEST_RECORD:
            self._lose_to_close(self.known.close)
            return None
        end = max(start, min(round8(self.stop), len(self.data) & ~7))  # whole words of the file
        last = self.expected + self._lost(start, end) - 1
        self.items.append(BadRange(start, end, self.expected, last))
        self.at, self.expected = end, last + 1
        return None

    def _may_be(self, at: int, seq: int) -> bool:
        """A cheap bound on a sequence before any checksum is computed."""
        if seq == self.known.last_seq:
            return True
        return self.expected - 1 <= seq <= self.expected + (at - self.at) // SHORTEST_RECORD + 1

    def _fits(self, record: Record, gap: int) -> bool:
        """Only the seal mark of a complete segment ends a range of no bytes."""
        last = self.known.last_seq
        if last is not None and record.seq > last:
            return False
        if last is not None and record.kind == SEAL_MARK and record.seq == last:
            return last >= self.expected - 1
        return gap > 0 and self.expected <= _counted(record) <= self.expected + gap // SHORTEST_RECORD + 1

    def _lost(self, start: int, end: int) -> int:
        """Rule 6: how many sequences stood in a range that nothing follows. That of
        a file that was made shorter reaches to where the file ended."""
        if self.short:
            end = self.known.allocated
        header = record_header(self.data, start)
        if header is not None and header_verifies(self.data, start, header, self.seed):
            rest = max(0, end - start - header.length)
            return 1 + -(-rest // SHORTEST_RECORD)
        return max(1, (end - start) // SHORTEST_RECORD)


def _counted(record: Record) -> int:
    """The sequence that a record proves to be the next behind it, or its own."""
    return record.seq + 1 if record.is_control else record.seq


def _judge(walk: _Walk) -> Scan:
    durable = max((item.offset - item.unsynced for item in walk.items if isinstance(item, Record)), default=0)
    result = Scan(
        items=walk.items,
        end=walk.at,
        durable=max(durable, HEADER_LENGTH, walk.known.close + SHORTEST_RECORD if walk.known.close else 0),
        next_seq=walk.expected,
        last_nonzero=walk.nonzero,
        complete=walk.known.complete,
        sealed=walk.sealed,
        closed=False,
        known=walk.known,
        short=walk.short,
    )
    if walk.known.complete:
        _complete(walk, result)
    else:
        _cut_torn(walk, result)
        _cut_batch(result)
    result.closed = not walk.cut_off and _is_closed(result)
    return result


def _complete(walk: _Walk, result: Scan) -> None:
    """Rule 6 for a segment whose last sequence is known: damage reaches to it."""
    last = walk.known.last_seq
    assert last is not None
    result.durable = max(result.end, walk.limit)
    tail = result.items[-1] if result.items else None
    if isinstance(tail, BadRange):
        result.items[-1] = replace(tail, last_seq=max(tail.first_seq - 1, last))
    elif result.next_seq <= last:
        end = result.end if walk.known.records_end is None else max(result.end, walk.limit)
        result.items.append(BadRange(result.end, end, result.next_seq, last))
        result.end = end
    result.next_seq = last + 1


def _cut_torn(walk: _Walk, result: Scan) -> None:
    """Rule 4."""
    for index, item in enumerate(result.items):
        proved = result.short or item.offset < result.durable or _lost_behind_header(item, walk.known)
        if isinstance(item, BadRange) and not proved and _is_torn(walk, item):
            result.torn = replace(item, torn=True)
            del result.items[index:]
            result.end = item.offset
            result.next_seq = item.first_seq
            result.sealed = False
            return


def _is_torn(walk: _Walk, bad: BadRange) -> bool:
    """Whether some sector's share of the bad record is all zero."""
    length = RECORD_HEADER_LENGTH
    header = record_header(walk.data, bad.offset)
    if header is not None and header_verifies(walk.data, bad.offset, header, walk.seed):
        length = header.length
    return sector_is_zero(walk.data, bad.offset, min(bad.offset + length, len(walk.data)))


def _cut_batch(result: Scan) -> None:
    """Rule 5."""
    while result.items:
        last = result.items[-1]
        if isinstance(last, BadRange) or not last.continues:
            return
        result.batch_cut.insert(0, last)
        del result.items[-1]
        result.end = last.offset
        result.next_seq = last.seq


def _is_closed(result: Scan) -> bool:
    """Rule 7."""
    last = result.items[-1] if result.items else None
    if not isinstance(last, Record) or last.kind != CLOSE_MARK or result.torn or result.batch_cut:
        return False
    return result.last_nonzero <= last.end
