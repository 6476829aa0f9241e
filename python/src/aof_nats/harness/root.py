"""A root directory, or a bucket directory, and the logs in it.

A root has engine.json and logs/<name>; a bucket directory has folders
<name>.<log id>. Nothing is written and no lock is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .errors import FormatError, MissingDecoderError, NotFoundError
from .fields import last_nonzero
from .manifest_open import Manifest, read_manifest
from .segment import SHORTEST_RECORD, Record
from .segment_file import Elsewhere, SegmentFile, read_segment
from .segment_scan import BadRange, Item
from .warm import WarmObject

_HOT_NAME = re.compile(r"([0-9]{20})_([0-9]{20})_([0-9]{20})\.seg")
_WARM_NAME = re.compile(r"([0-9]{20})_([0-9]{20})_([0-9]{20})\.zst")
_COLD_NAME = re.compile(r"([0-9]{20})_([0-9]+)-([0-9]+)_g([0-9]+)\.zst")
_BUCKET_FOLDER = re.compile(r"([A-Za-z0-9_-]{1,128})\.([0-9a-f]{16})")


@dataclass
class Copy:
    """One file that holds a segment. `generation` is that of a cold object."""

    path: Path
    tier: str
    segment_id: int
    base_seq: int
    generation: int = 0
    stamp: int = 0
    last_seq: int | None = None

    def load(self) -> tuple[memoryview, list[str]]:
        """The bytes of the segment file, and what is wrong with the frames of
        an object. Raises FormatError for an object that cannot be read at all."""
        raw = memoryview(self.path.read_bytes())
        if self.tier == "hot":
            return raw, []
        found = WarmObject(raw)
        try:
            found.check_frames(*found.tail())
            wrong = []
        except FormatError as error:
            wrong = [str(error)]
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
    """Sequences that no copy holds, and where they stood."""

    path: Path
    segment_id: int
    offset: int
    length: int
    first_seq: int
    last_seq: int
    reason: str = "records do not verify"


@dataclass
class LogView:
    """A log as its directory holds it."""

    name: str
    path: Path
    log_id: int | None
    manifest: Manifest
    copies: dict[int, list[Copy]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def segment_ids(self) -> list[int]:
        return sorted(self.copies)

    def verdicts(self, segment_id: int) -> Iterator[CopyVerdict]:
        """Reads each copy of a segment in turn, hot before warm before cold."""
        ids = self.segment_ids()
        place = ids.index(segment_id)
        following = self.copies[ids[place + 1]][0].base_seq if place + 1 < len(ids) else None
        for copy in self.copies[segment_id]:
            if following is not None:
                copy.last_seq = following - 1
            known = self._elsewhere(copy, following)
            try:
                data, findings = copy.load()
                file = read_segment(data, known)
                file.findings += findings
            except MissingDecoderError:
                raise
            except FormatError as error:
                yield CopyVerdict(copy, None, str(error), following is None)
                continue
            yield CopyVerdict(copy, file, "", following is None)

    def _elsewhere(self, copy: Copy, following: int | None) -> Elsewhere:
        entry = self.manifest.state.segments.get(copy.segment_id)
        if entry is None:
            return Elsewhere(self.log_id, copy.segment_id, copy.base_seq, next_base=following)
        sealed = bool(entry["sealed"])
        return Elsewhere(
            self.log_id,
            copy.segment_id,
            copy.base_seq,
            entry.num("salt") if entry["opened"] else None,
            entry.num("index offset") if sealed else None,
            entry.num("last seq") if sealed else None,
            following,
        )

    def read(self) -> Iterator[Record | Damage]:
        """Every data record, in order, from whatever holds it, and damage in
        the place of records that nothing holds."""
        for segment_id in self.segment_ids():
            verdicts = []
            for verdict in self.verdicts(segment_id):
                verdicts.append(verdict)
                if verdict.sound:
                    break
            yield from _merge(verdicts)


def _merge(verdicts: list[CopyVerdict]) -> Iterator[Record | Damage]:
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
    size = last_nonzero(memoryview(copy.path.read_bytes()))
    last = copy.last_seq
    if last is None:
        last = copy.base_seq + max(1, size // SHORTEST_RECORD) - 1
    return Damage(copy.path, copy.segment_id, 0, size, copy.base_seq, last, verdict.error)


@dataclass
class Root:
    """A directory with logs, by name."""

    path: Path
    logs: dict[str, LogView]

    def log(self, name: str) -> LogView:
        if name not in self.logs:
            raise NotFoundError(f"{self.path}: no log {name}; there are {', '.join(sorted(self.logs)) or 'none'}")
        return self.logs[name]


def open_root(path: Path) -> Root:
    """Opens a root, or a bucket directory. Raises NotFoundError if it is
    neither. Damage is no error here: it is found when segments are read."""
    if not path.is_dir():
        raise NotFoundError(f"{path}: no such directory")
    logs: dict[str, LogView] = {}
    if (path / "logs").is_dir():
        for folder in sorted((path / "logs").iterdir()):
            if folder.is_dir():
                logs[folder.name] = open_log(folder, folder.name)
        return Root(path, logs)
    for folder in sorted(path.iterdir()):
        match = _BUCKET_FOLDER.fullmatch(folder.name)
        if match and folder.is_dir():
            name = match[1] if match[1] not in logs else folder.name
            logs[name] = open_log(folder, match[1], int(match[2], 16))
    if not logs and not (path / "engine.json").exists():
        raise NotFoundError(f"{path}: neither a root nor a bucket directory")
    return Root(path, logs)


def open_log(path: Path, name: str, log_id: int | None = None) -> LogView:
    """Opens the directory of one log."""
    findings: list[str] = []
    options = path / "log.json"
    try:
        stated = int(json.loads(options.read_text("utf-8"))["log_id"], 16)
        if log_id is not None and log_id != stated:
            findings.append(f"{options}: log id {stated:016x} in a folder of {log_id:016x}")
        log_id = stated if log_id is None else log_id
    except (OSError, ValueError, KeyError, TypeError) as error:
        findings.append(f"{options}: {error}")
    manifest = read_manifest(path / "manifest", log_id, path / "snapshots")
    log = LogView(name, path, log_id, manifest, {}, findings)
    _collect(log)
    return log


def _collect(log: LogView) -> None:
    found = []
    for folder, tier, pattern in (
        ("segments", "hot", _HOT_NAME),
        ("warm", "warm", _WARM_NAME),
        ("segments", "cold", _COLD_NAME),
    ):
        directory = log.path / folder
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            match = pattern.fullmatch(path.name)
            if match and tier == "cold":
                copy = Copy(path, tier, int(match[1]), int(match[2]), int(match[4]), last_seq=int(match[3]))
                found.append(copy)
            elif match:
                found.append(Copy(path, tier, int(match[1]), int(match[2]), stamp=int(match[3])))
    order = {"hot": 0, "warm": 1, "cold": 2}
    for copy in sorted(found, key=lambda c: (c.segment_id, order[c.tier], -c.generation)):
        log.copies.setdefault(copy.segment_id, []).append(copy)


def open_cold(log: LogView, bucket_folder: Path) -> None:
    """Adds the objects of a bucket folder to the copies of a log."""
    other = LogView(log.name, bucket_folder, log.log_id, log.manifest)
    _collect(other)
    for segment_id, copies in other.copies.items():
        log.copies.setdefault(segment_id, []).extend(copies)
