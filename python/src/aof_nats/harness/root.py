"""A root directory, or a bucket directory, and the logs in it.

A root has engine.json and logs/<name>, and in engine.json the bucket that has
the cold copies. A bucket alone has a folder <name>.<log id> for each log. Nothing
is written and no lock is taken.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from .bucket import Bucket, LogFolder, open_bucket
from .copies import Copy, CopyVerdict, Damage, merge
from .errors import CorruptError, FormatError, MissingDecoderError, NotFoundError, UnreachableError, VersionError
from .identity import LogFile, read_bucket_url
from .manifest_fields import COLD
from .manifest_open import Manifest, read_manifest
from .ranking import rank
from .segment import Record
from .segment_file import Elsewhere, read_segment
from .segment_scan import Known, last_lost
from .strays import is_counted_warm, is_silent, stray_hot, stray_warm

_LOG_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HOT_NAME = re.compile(r"([0-9]{20})_([0-9]{20})_([0-9]{20})\.seg")
_WARM_NAME = re.compile(r"([0-9]{20})_([0-9]{20})_([0-9]{20})\.zst")
_COLD_KEY = re.compile(r"segments/([0-9]{20})_([0-9]+)-([0-9]+)_g([0-9]+)\.zst")


@dataclass
class LogView:
    """A log as its directory and its folder in a bucket hold it."""

    name: str
    path: Path
    log_id: int | None
    manifest: Manifest
    copies: dict[int, list[Copy]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folder: LogFolder | None = None
    objects: dict[str, Path] = field(default_factory=dict)
    """All that lies in the folder, by key."""
    unchecked: str = ""
    """Why objects that the manifest counts on were not looked at."""
    alone: bool = False
    """There is nothing but the bucket."""
    superseded: list[str] = field(default_factory=list)
    """Objects that are not part of the log, and why."""

    def segment_ids(self) -> list[int]:
        """Segments that have a copy, and those that have to have one."""
        state = self.manifest.state
        known = {n for n, entry in state.segments.items() if entry["opened"] or entry["sealed"]}
        due = {n for n in known if not state.trimmed(state.segments[n])}
        return sorted(due | set(self.copies))

    def verdicts(self, segment_id: int) -> Iterator[CopyVerdict]:
        """Reads each copy of a segment in turn, hot before warm before cold."""
        following = self._base_behind(segment_id)
        for copy in self.copies.get(segment_id, ()):
            if following is not None and copy.tier != "cold":
                copy.last_seq = following - 1
            elif copy.tier == "hot":
                copy.close = self._close(segment_id)
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

    def _base(self, segment_id: int) -> int:
        copies = self.copies.get(segment_id)
        return copies[0].base_seq if copies else self.manifest.state.segments[segment_id].num("base seq")

    def _base_behind(self, segment_id: int) -> int | None:
        behind = [other for other in self.segment_ids() if other > segment_id]
        return self._base(behind[0]) if behind else None

    def _elsewhere(self, copy: Copy, following: int | None) -> Elsewhere:
        entry = self.manifest.state.segments.get(copy.segment_id)
        close = self._close(copy.segment_id)
        if entry is None:
            last = copy.last_seq if copy.tier == "cold" else None
            return Elsewhere(
                self.log_id, copy.segment_id, copy.base_seq, sealed_last_seq=last, next_base=following,
                close_mark=close.close_mark, closed=close.closed,
            )  # fmt: skip
        sealed = bool(entry["sealed"])
        return Elsewhere(
            self.log_id,
            copy.segment_id,
            copy.base_seq,
            entry.num("salt") if entry["opened"] else None,
            entry.num("index offset") if sealed else None,
            entry.num("last seq") if sealed else None,
            following,
            close.close_mark,
            close.closed,
        )

    def _close(self, segment_id: int) -> Known:
        """The last clean close that was recorded, if it ended the segment."""
        log = self.manifest.state.log
        if log.num("closed segment id") != segment_id:
            return Known()
        return Known(close_mark=log.num("closed mark offset"), closed=bool(log["closed"]))

    def is_cold(self, segment_id: int) -> bool:
        """Whether the manifest counts on an object."""
        entry = self.manifest.state.segments.get(segment_id)
        return entry is not None and bool(entry.num("resident tiers") >> COLD & 1)

    def read(self) -> Iterator[Record | Damage]:
        """Every data record, in order, from whatever holds it, and damage in
        the place of records that nothing holds."""
        for segment_id in self.segment_ids():
            verdicts = []
            for verdict in self.verdicts(segment_id):
                verdicts.append(verdict)
                if verdict.sound:
                    break
            yield from self.merged(segment_id, verdicts)

    def merged(self, segment_id: int, verdicts: list[CopyVerdict]) -> Iterator[Record | Damage]:
        """The data records of a segment whose copies were read, down to the first
        sound one at least."""
        for item in merge(verdicts) if verdicts else self._without_copy(segment_id):
            if isinstance(item, Damage) and self.unchecked and self.is_cold(segment_id):
                item = replace(item, unchecked=True, reason=f"{item.reason}, and {self.unchecked}")
            yield item

    def _without_copy(self, segment_id: int) -> Iterator[Damage]:
        entry = self.manifest.state.segments[segment_id]
        first, last = entry.num("base seq"), entry.num("last seq")
        if not entry["sealed"]:
            behind = self._base_behind(segment_id)
            last = (self.manifest.state.log.num("next seq") if behind is None else behind) - 1
            if behind is None:
                last = max(last, last_lost(first, 0, self._close(segment_id)))
        if last >= first:
            yield Damage(self.path, segment_id, 0, 0, first, last, "there is no local copy")


@dataclass
class Root:
    """A directory with logs, by name."""

    path: Path
    logs: dict[str, LogView]
    findings: list[str] = field(default_factory=list)
    bucket: str = ""
    """The bucket of a root, "" if it has none."""

    def log(self, name: str) -> LogView:
        """The log of that name. A log of a bucket alone has that of its folder,
        too. Raises NotFoundError."""
        for log in self.logs.values():
            if log.name == name or (log.alone and log.folder is not None and log.folder.name == name):
                return log
        raise NotFoundError(f"{self.path}: no log {name}; there are {', '.join(sorted(self.logs)) or 'none'}")


def open_root(place: Path | str, bucket: str = "") -> Root:
    """Opens a root, or a bucket: its directory or its file:// URL. `bucket` is
    where the cold copies of a root are, instead of what its engine.json says.
    Raises NotFoundError if place is neither. Damage is no error here: it is found
    when segments are read. Neither is a bucket that is not there."""
    path = Path(place)
    if "://" in str(place):
        return _open_bucket_alone(str(place))
    if not path.is_dir():
        raise NotFoundError(f"{path}: no such directory")
    if not (path / "logs").is_dir() and not (path / "engine.json").exists():
        return _open_bucket_alone(str(place))
    root = Root(path, {}, [], bucket)
    try:
        root.bucket = bucket or read_bucket_url(path / "engine.json")
    except VersionError:
        raise
    except (FormatError, OSError) as error:
        root.findings.append(f"engine.json: {error}")
    opened, unchecked = None, ""
    if root.bucket:
        try:
            opened = open_bucket(root.bucket)
        except UnreachableError as error:
            unchecked = str(error)
    folders = sorted((path / "logs").iterdir()) if (path / "logs").is_dir() else []
    for folder in folders:
        if folder.is_dir():
            root.logs[folder.name] = _open_log(folder, opened, unchecked)
    _find_twins(root)
    return root


def _find_twins(root: Root) -> None:
    """A log may be renamed, and its log.json then has the old name until the next
    start. A copy of it beside the log is none."""
    names: dict[int, str] = {}
    for name, log in root.logs.items():
        if log.log_id is None:
            continue
        twin = names.setdefault(log.log_id, name)
        if twin != name:
            log.findings.append(f"log.json: has the id of {twin}, too")


def _open_bucket_alone(place: str) -> Root:
    """Where several logs have one name, as after a root was begun anew, each has
    that of its folder."""
    folders = open_bucket(place).folders()
    count = Counter(folder.log for folder in folders)
    logs: dict[str, LogView] = {}
    for folder in folders:
        name = folder.log if count[folder.log] == 1 else folder.name
        log = LogView(name, folder.path, folder.log_id, Manifest(), folder=folder, alone=True)
        log.objects = folder.objects()
        _collect_cold(log)
        logs[name] = log
    if not logs and "://" not in place:
        raise NotFoundError(f"{place}: neither a root nor a bucket directory")
    return Root(Path(place), logs)


def _open_log(path: Path, bucket: Bucket | None, unchecked: str) -> LogView:
    """Opens the directory of one log, and its folder in the bucket."""
    findings: list[str] = []
    identity = None
    try:
        identity = LogFile.read(path / "log.json")
        if identity.name and not _LOG_NAME.fullmatch(identity.name):
            raise CorruptError(f"{identity.name!r} is no name of a log")
    except VersionError:
        raise
    except (FormatError, OSError) as error:
        findings.append(f"log.json: {error}")
    log_id = identity.log_id if identity else None
    log = LogView(path.name, path, log_id, read_manifest(path / "manifest", log_id), {}, findings)
    log.unchecked = unchecked
    _collect_local(log)
    if bucket is not None and identity is not None:
        _open_folder(log, bucket, identity)
    if not log.unchecked and log.folder is None and any(map(log.is_cold, log.manifest.state.segments)):
        log.unchecked = "no bucket is known that has the objects"
    _collect_cold(log)
    return log


def _open_folder(log: LogView, bucket: Bucket, identity: LogFile) -> None:
    name = identity.bucket_folder or f"{identity.name or log.name}.{identity.log_id:016x}"
    try:
        folder = bucket.folder(name)
        if folder.log_id != identity.log_id:
            raise ValueError(f"{name!r} is no folder of log {identity.log_id:016x}")
        log.objects = folder.objects()
        log.folder = folder
    except ValueError as error:
        log.findings.append(f"log.json: {error}")
    except UnreachableError as error:
        log.unchecked = str(error)


def _collect_local(log: LogView) -> None:
    """Adds the files that are part of the log, and tells of those that are not."""
    for path, match in _matching(log.path / "segments", _HOT_NAME):
        copy = Copy(path, "hot", int(match[1]), int(match[2]))
        known = log.copies.setdefault(copy.segment_id, [])
        why = "there is another segment file of this id" if known else stray_hot(log.manifest, log.log_id, copy)
        if why:
            log.findings.append(f"{path} is not part of the log: {why}")
        else:
            known.append(copy)
    silent = is_silent(log.manifest)
    for path, match in _matching(log.path / "warm", _WARM_NAME):
        copy = Copy(path, "warm", int(match[1]), int(match[2]))
        if is_counted_warm(log.manifest, copy, int(match[3])) or (silent and not stray_warm(log.log_id, copy)):
            log.copies.setdefault(copy.segment_id, []).append(copy)
        else:
            log.notes.append(f"{path}: the manifest does not count on this file")
    log.copies = {segment_id: copies for segment_id, copies in log.copies.items() if copies}


def _matching(directory: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match:
            yield path, match


def _collect_cold(log: LogView) -> None:
    """Adds objects to the copies. The manifest names the one that counts; where it is
    silent or damaged, all of them do that no later owner has superseded, the one
    that counts first."""
    silent = is_silent(log.manifest)
    found, counted = [], set()
    for key, path in log.objects.items():
        match = _COLD_KEY.fullmatch(key)
        if match is None:
            continue
        copy = Copy(path, "cold", int(match[1]), int(match[2]), int(match[4]), key, int(match[3]))
        entry = log.manifest.state.segments.get(copy.segment_id)
        if entry is not None and log.is_cold(copy.segment_id) and entry["cold key"] == key:
            counted.add(key)
        if silent or key in counted:
            found.append(copy)
    ranked, log.superseded = rank(found, counted, log.log_id)
    for copy in ranked:
        log.copies.setdefault(copy.segment_id, []).append(copy)
