"""Check of a root or bucket directory: every checksum, every cross reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .manifest_fields import COLD, HOT, TIER_NAMES, WARM, Fields, tier_set
from .root import CopyVerdict, Damage, LogView, Root
from .segment import Record
from .segment_scan import BadRange


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. Sequences only where records are concerned."""

    path: str
    text: str
    segment_id: int = 0
    offset: int | None = None
    length: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None


@dataclass
class LogReport:
    """What a check found in one log. `lost` are sequences that no copy holds,
    `findings` everything that is wrong, repairable or not."""

    name: str
    records: int = 0
    first_seq: int = 0
    last_seq: int = 0
    segments: int = 0
    copies: int = 0
    manifest_records: int = 0
    lost: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.lost and not self.findings

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


def check_root(root: Root) -> list[LogReport]:
    """Checks all logs of a root, one after the other."""
    return [check_log(log) for log in root.logs.values()]


def check_log(log: LogView) -> LogReport:
    """Reads every copy of every segment and all of the manifest."""
    report = LogReport(log.name)
    report.findings += [Finding(str(log.path), text) for text in log.findings]
    report.findings += [Finding(str(log.path / "manifest"), text) for text in log.manifest.findings]
    report.manifest_records = len(log.manifest.records())
    report.segments = len(log.copies)
    for segment_id in log.segment_ids():
        for verdict in log.verdicts(segment_id):
            report.copies += 1
            report.findings += _of_copy(verdict)
            report.findings += _against_manifest(log, verdict)
    report.findings += _residency(log)
    _count(log, report)
    return report


def _of_copy(verdict: CopyVerdict) -> Iterator[Finding]:
    copy = verdict.copy
    if verdict.file is None:
        yield Finding(str(copy.path), verdict.error, copy.segment_id, 0)
        return
    for text in verdict.file.findings:
        yield Finding(str(copy.path), text, copy.segment_id)
    for item in verdict.items():
        if isinstance(item, BadRange):
            where = (item.offset, item.end - item.offset, item.first_seq, item.last_seq)
            yield Finding(str(copy.path), "records do not verify", copy.segment_id, *where)


def _against_manifest(log: LogView, verdict: CopyVerdict) -> Iterator[Finding]:
    copy, file = verdict.copy, verdict.file
    entry = log.manifest.state.segments.get(copy.segment_id)
    if entry is None or file is None:
        return

    def differs(what: str, found: object, said: object) -> Iterator[Finding]:
        if found != said:
            text = f"{what} is {found}, the manifest says {said}"
            yield Finding(str(copy.path), text, copy.segment_id)

    if entry["opened"]:
        yield from differs("base seq", copy.base_seq, entry["base seq"])
        if file.header is not None:
            yield from differs("salt", file.header.salt, entry["salt"])
            yield from differs("epoch", file.header.epoch, entry["epoch"])
    if entry["sealed"] and file.footer is not None:
        footer = file.footer
        for what, found in (
            ("segment crc64", footer.segment_crc64),
            ("index offset", footer.index_offset),
            ("record count", footer.record_count),
            ("first seq", footer.first_seq),
            ("last seq", footer.last_seq),
            ("max ts", footer.max_ts),
        ):
            yield from differs(what, found, entry[what])
    yield from _object_against_manifest(verdict, entry)


def _object_against_manifest(verdict: CopyVerdict, entry: Fields) -> Iterator[Finding]:
    copy = verdict.copy
    if copy.tier == "hot":
        return
    prefix = copy.tier
    if copy.tier == "cold" and copy.generation != entry["cold generation"]:
        return  # an older or newer object than the one that counts
    size = copy.path.stat().st_size
    if entry.num("resident tiers") >> TIER_NAMES.index(copy.tier) & 1:
        if size != entry[f"{prefix} object bytes"]:
            text = f"{size} bytes, the manifest says {entry.num(f'{prefix} object bytes')}"
            yield Finding(str(copy.path), text, copy.segment_id)


def _residency(log: LogView) -> Iterator[Finding]:
    """Every tier that the manifest names has to hold the segment. Objects of a
    bucket elsewhere are not looked for."""
    bucket = not (log.path / "warm").is_dir() and any(c.tier == "cold" for cs in log.copies.values() for c in cs)
    for segment_id, entry in log.manifest.state.segments.items():
        tiers = {copy.tier for copy in log.copies.get(segment_id, [])}
        wanted = [COLD] if bucket else [HOT, WARM]
        missing = [t for t in wanted if entry.num("resident tiers") >> t & 1 and TIER_NAMES[t] not in tiers]
        for tier in missing:
            said = tier_set(entry.num("resident tiers"))
            yield Finding(str(log.path), f"no {TIER_NAMES[tier]} copy, the manifest says {said}", segment_id)


def _count(log: LogView, report: LogReport) -> None:
    """Reads the log as a user would, and looks for what is missing between."""
    due: int | None = None
    trimmed = log.manifest.state.log.num("trimmed-to seq")
    for item in log.read():
        first = item.seq if isinstance(item, Record) else item.first_seq
        last = item.seq if isinstance(item, Record) else item.last_seq
        if due is None:
            report.first_seq = first
            due = first if trimmed or first == 1 else 1
        if first != due:
            kind = "no segment holds them" if first > due else "records out of order"
            report.lost.append(Finding(str(log.path), kind, 0, None, None, due, first - 1))
        due = last + 1
        if isinstance(item, Damage):
            where = (item.segment_id, item.offset, item.length, item.first_seq, item.last_seq)
            report.lost.append(Finding(str(item.path), item.reason, *where))
        else:
            report.records += 1
        report.last_seq = last
