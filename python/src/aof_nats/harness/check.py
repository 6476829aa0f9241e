"""Check of a root or bucket directory: every checksum, every cross reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .check_copy import against_manifest, of_copy
from .check_folder import check_folder
from .copies import CopyVerdict, Damage
from .findings import Finding
from .manifest_fields import COLD, HOT, TIER_NAMES, WARM, tier_set
from .root import LogView, Root
from .segment import Record


@dataclass
class LogReport:
    """What a check found in one log. `lost` are sequences that no copy holds,
    `findings` everything that is wrong, repairable or not, `unchecked` what could
    not be looked at, and `notes` what is remarkable and not wrong."""

    name: str
    records: int = 0
    first_seq: int = 0
    last_seq: int = 0
    segments: int = 0
    copies: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TIER_NAMES, 0))
    manifest_records: int = 0
    lost: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> bool:
        return bool(self.lost or self.findings)

    @property
    def ok(self) -> bool:
        return not self.damaged and not self.unchecked

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


def check_root(root: Root) -> list[LogReport]:
    """Checks all logs of a root, one after the other."""
    return [check_log(log) for log in root.logs.values()]


def check_log(log: LogView) -> LogReport:
    """Reads every copy of every segment, all of the manifest, and what the bucket
    says of the log."""
    report = LogReport(log.name)
    report.findings += [Finding(str(log.path), text) for text in log.findings]
    report.findings += [Finding(str(log.path / "manifest"), text) for text in log.manifest.findings]
    report.notes += log.notes
    report.manifest_records = len(log.manifest.records())
    ids = log.segment_ids()
    report.segments = len(ids)
    count = _Count(log, report)
    verdicts: list[CopyVerdict] = []
    for segment_id in ids:
        verdicts = list(log.verdicts(segment_id))
        for verdict in verdicts:
            report.copies[verdict.copy.tier] += 1
            report.findings += of_copy(verdict)
            report.findings += against_manifest(log, verdict)
        for item in log.merged(segment_id, verdicts):
            count.take(item)
    count.end(verdicts)
    report.findings += _residency(log)
    report.notes += log.superseded
    if log.folder is not None:
        check_folder(log, report.findings, report.notes)
    if log.unchecked:
        objects = sum(map(log.is_cold, log.manifest.state.segments))
        text = f"{objects} objects were not checked: {log.unchecked}"
        report.unchecked.insert(0, Finding(str(log.path), text))
    return report


def _residency(log: LogView) -> Iterator[Finding]:
    """Every tier that the manifest names has to hold the segment."""
    for segment_id, entry in log.manifest.state.segments.items():
        tiers = {copy.tier for copy in log.copies.get(segment_id, []) if copy.key in ("", entry["cold key"])}
        wanted = (HOT, WARM) if log.unchecked else (HOT, WARM, COLD)
        for tier in wanted:
            if entry.num("resident tiers") >> tier & 1 and TIER_NAMES[tier] not in tiers:
                said = tier_set(entry.num("resident tiers"))
                path = log.path if tier != COLD or log.folder is None else log.folder.path
                yield Finding(str(path), f"no {TIER_NAMES[tier]} copy, the manifest says {said}", segment_id)


class _Count:
    """Goes through a log as a user would, and looks for what is missing between.
    In front, retention may have removed records; without a manifest nobody knows."""

    def __init__(self, log: LogView, report: LogReport) -> None:
        self._log = log
        self._report = report
        self._due: int | None = None
        self._trimmed = log.manifest.state.log.num("trimmed-to seq")

    def take(self, item: Record | Damage) -> None:
        """Counts what follows in the log."""
        report = self._report
        first = item.seq if isinstance(item, Record) else item.first_seq
        last = item.seq if isinstance(item, Record) else item.last_seq
        if self._due is None:
            report.first_seq = first
            self._due = first if self._trimmed or self._log.alone or first == 1 else 1
        if first != self._due:
            kind = "no segment holds them" if first > self._due else "records out of order"
            self._lose(kind, self._due, first - 1)
        self._due = last + 1
        report.last_seq = last
        if isinstance(item, Record):
            report.records += 1
            return
        where = (item.segment_id, item.offset, item.length, item.first_seq, item.last_seq)
        _append(report.unchecked if item.unchecked else report.lost, Finding(str(item.path), item.reason, *where))

    def end(self, verdicts: list[CopyVerdict]) -> None:
        """Looks for sequences that the manifest proves and that the last segment
        has not, not even behind what is proved durable."""
        next_seq = self._log.manifest.state.log.num("next seq")
        held = [verdict.file.scan.next_seq for verdict in verdicts if verdict.file is not None]
        due = max([self._report.last_seq + 1, self._trimmed + 1, *held])
        if next_seq > due:
            self._lose("the manifest proves them and no segment holds them", due, next_seq - 1)
            self._report.last_seq = next_seq - 1

    def _lose(self, text: str, first: int, last: int) -> None:
        self._report.lost.append(Finding(str(self._log.path), text, 0, None, None, first, last))


def _append(found: list[Finding], new: Finding) -> None:
    """Appends a finding, or makes the one before longer: of whole segments in a
    row one line says enough."""
    old = found[-1] if found else None
    behind = old is not None and old.last_seq is not None and old.last_seq + 1 == new.first_seq
    if old is None or not behind or new.length or (old.path, old.text, old.length) != (new.path, new.text, 0):
        found.append(new)
    else:
        found[-1] = replace(old, last_seq=new.last_seq)
