"""Copies of a segment, and what they give together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import FormatError
from .segment import SHORTEST_RECORD, Record
from .segment_file import SegmentFile
from .segment_scan import BadRange, Item, Known, last_lost
from .warm import WarmObject


@dataclass
class Copy:
    """One file that holds a segment. `generation` and `key` are those of a cold
    object, whose name also has its `last_seq`; of other files the one behind them
    tells it."""

    path: Path
    tier: str
    segment_id: int
    base_seq: int
    generation: int = 0
    key: str = ""
    last_seq: int | None = None
    tail_bytes: int | None = None
    """Of an object that was loaded: its last data frame and the seek table."""
    close: Known = Known()
    """Of a segment file at the end of a log: its recorded close."""

    def load(self) -> tuple[memoryview, list[str]]:
        """The bytes of the segment file, and what is wrong with the frames of
        an object. Raises FormatError for an object that cannot be read at all."""
        raw = memoryview(self.path.read_bytes())
        if self.tier == "hot":
            return raw, []
        wrong = []
        try:
            found = WarmObject(raw)
            self.tail_bytes = len(raw) - found.frames[-1].offset
            found.check_frames(*found.tail())
        except FormatError as error:
            wrong = [str(error)]
        if self.tail_bytes is None:
            found = WarmObject(raw, torn=True)
        data, findings = found.salvage()
        return memoryview(data), wrong + findings


@dataclass
class CopyVerdict:
    """A copy that was read, or why it could not be."""

    copy: Copy
    file: SegmentFile | None
    error: str = ""
    last: bool = False

    def items(self) -> list[Item]:
        return self.file.items(read_only=True) if self.file else []

    @property
    def sound(self) -> bool:
        return self.file is not None and not any(isinstance(item, BadRange) for item in self.items())


@dataclass(frozen=True)
class Damage:
    """Sequences that no copy holds, and where they stood. With `unchecked`, a copy
    that may hold them could not be looked at."""

    path: Path
    segment_id: int
    offset: int
    length: int
    first_seq: int
    last_seq: int
    reason: str = "records do not verify"
    unchecked: bool = False


def merge(verdicts: list[CopyVerdict]) -> Iterator[Record | Damage]:
    """Of the best copy everything; what is damaged in it, from the others."""
    sound = [verdict for verdict in verdicts if verdict.sound]
    main = (sound or verdicts)[0]
    if main.file is None:
        readable = [verdict for verdict in verdicts if verdict.file is not None]
        if not readable:
            yield _unreadable(main)
            return
        main = readable[0]
    others: dict[int, Record] | None = None
    for item in main.items():
        if isinstance(item, Record):
            if not item.is_control:
                yield item
            continue
        if others is None:
            others = _records([verdict for verdict in verdicts if verdict is not main])
        yield from _repaired(main, item, others)


def _records(verdicts: list[CopyVerdict]) -> dict[int, Record]:
    found: dict[int, Record] = {}
    for verdict in verdicts:
        for item in verdict.items():
            if isinstance(item, Record) and not item.is_control:
                found.setdefault(item.seq, item)
    return found


def _repaired(main: CopyVerdict, bad: BadRange, others: dict[int, Record]) -> Iterator[Record | Damage]:
    def damage(first: int, last: int) -> Damage:
        copy = main.copy
        return Damage(copy.path, copy.segment_id, bad.offset, bad.end - bad.offset, first, last)

    if not any(bad.first_seq <= seq <= bad.last_seq for seq in others):
        if bad.count > 0:
            yield damage(bad.first_seq, bad.last_seq)
        return
    first = bad.first_seq
    for seq in sorted(seq for seq in others if bad.first_seq <= seq <= bad.last_seq):
        if first < seq:
            yield damage(first, seq - 1)
        yield others[seq]
        first = seq + 1
    if first <= bad.last_seq:
        yield damage(first, bad.last_seq)


def _unreadable(verdict: CopyVerdict) -> Damage:
    """A file in which nothing verifies is one damaged range from its start on,
    counted like any other."""
    copy = verdict.copy
    size = copy.path.stat().st_size
    last = copy.last_seq
    if last is None:
        last = copy.base_seq + max(1, size // SHORTEST_RECORD) - 1
        if copy.tier == "hot":
            last = last_lost(copy.base_seq, size, copy.close)
    return Damage(copy.path, copy.segment_id, 0, size, copy.base_seq, last, verdict.error)
