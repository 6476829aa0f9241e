"""A manifest directory, opened as a reader that must not write opens it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from .crc import crc64
from .errors import FormatError, HarnessError
from .manifest import (
    CHUNK_HEADER_LENGTH,
    ChunkHeader,
    ChunkReader,
    ChunkScan,
    ManifestRecord,
    decode_chunk_header,
    decode_manifest_record,
)
from .manifest_snapshot import Snapshot, decode_snapshot
from .manifest_state import State

_CHUNK_NAME = re.compile(r"([0-9]{20})\.mlog")
_SNAPSHOT_NAME = re.compile(r"snapshot_([0-9]{20})\.bin")


@dataclass
class Chunk:
    """One chunk file: its header, if it verifies, and the verdict over it."""

    path: Path
    index: int
    data: memoryview
    header: ChunkHeader | None
    scan: ChunkScan
    last: bool = False

    def believed(self) -> list[ManifestRecord]:
        """Records that a reader without the right to write may believe."""
        if not self.last or (self.header is not None and self.header.sealed):
            return self.scan.records
        return [r for r in self.scan.records if r.offset < self.scan.durable or r.name == "LogClosed"]


@dataclass
class Manifest:
    """All that a directory says."""

    chunks: list[Chunk] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    state: State = field(default_factory=State)
    findings: list[str] = field(default_factory=list)
    """Damage, in words with file and offset."""

    def records(self) -> list[ManifestRecord]:
        return [record for chunk in self.chunks for record in chunk.scan.records]


def read_manifest(directory: Path, log_id: int | None = None) -> Manifest:
    """Reads chunks and snapshots and replays them. Raises no FormatError: what
    does not verify becomes a finding."""
    manifest = Manifest()
    _read_snapshots(directory, log_id, manifest)
    _read_chunks(directory, log_id, manifest)
    _check_chain(manifest)
    _check_snapshots(manifest)
    _replay(manifest)
    return manifest


def _numbered(directory: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    found = {}
    if directory.is_dir():
        for path in directory.iterdir():
            match = pattern.fullmatch(path.name)
            if match:
                found[int(match[1])] = path
    return dict(sorted(found.items()))


def _read_snapshots(directory: Path, log_id: int | None, manifest: Manifest) -> None:
    for number, path in _numbered(directory, _SNAPSHOT_NAME).items():
        try:
            snapshot = decode_snapshot(memoryview(path.read_bytes()))
            if log_id is not None and snapshot.header.log_id != log_id:
                raise HarnessError(f"snapshot: of log {snapshot.header.log_id:016x}")
            if snapshot.header.snapshot_id != number:
                raise HarnessError(f"snapshot: of id {snapshot.header.snapshot_id}")
        except HarnessError as error:
            manifest.findings.append(f"{path}: {error}")
            continue
        manifest.snapshots.append(snapshot)


def _read_chunks(directory: Path, log_id: int | None, manifest: Manifest) -> None:
    paths = _numbered(directory, _CHUNK_NAME)
    datas = {index: memoryview(path.read_bytes()) for index, path in paths.items()}
    headers = {index: _header(paths[index], datas[index], index, log_id, manifest) for index in paths}
    expected = 1
    for index, path in paths.items():
        header, following = headers[index], headers.get(index + 1)
        base = expected if header is None else header.base_record
        if header is None and index - 1 not in paths:
            base = _first_ordinal(datas[index], base)
        place = max((s.header.chunk_offset for s in manifest.snapshots if s.header.chunk_index == index), default=0)
        next_base = following.base_record if following else None
        if following is None and index + 1 in paths:
            next_base = _first_ordinal(datas[index + 1], 0) or None
        try:
            scan = ChunkReader(datas[index], header, base, next_base, place).run()
        except FormatError as error:
            manifest.findings.append(f"{path}: {error}")
            return
        manifest.chunks.append(Chunk(path, index, datas[index], header, scan, index == max(paths)))
        expected = scan.next_ordinal
        for lost in scan.damage:
            where = f"{path}: records {lost.first_ordinal} to {lost.last_ordinal} lost"
            manifest.findings.append(f"{where}, offset {lost.offset}, {lost.end - lost.offset} bytes")


def _first_ordinal(data: memoryview, otherwise: int) -> int:
    """The base of a chunk whose header is bad: the ordinal of its first record,
    if that one verifies."""
    record = decode_manifest_record(data, CHUNK_HEADER_LENGTH, len(data))
    return otherwise if record is None else record.ordinal


def _header(path: Path, data: memoryview, index: int, log_id: int | None, manifest: Manifest) -> ChunkHeader | None:
    try:
        header = decode_chunk_header(data)
        if header.chunk_index != index or (log_id is not None and header.log_id != log_id):
            raise HarnessError(f"chunk header: of log {header.log_id:016x}, chunk {header.chunk_index}")
        return header
    except HarnessError as error:
        manifest.findings.append(f"{path}: {error}")
        return None


def _check_chain(manifest: Manifest) -> None:
    """Each chunk carries the checksum of the one before it."""
    before: Chunk | None = None
    for chunk in manifest.chunks:
        header = chunk.header
        if header is not None and header.sealed:
            records = chunk.data[CHUNK_HEADER_LENGTH : CHUNK_HEADER_LENGTH + header.record_bytes]
            if len(records) != header.record_bytes:
                manifest.findings.append(f"{chunk.path}: {len(records)} of {header.record_bytes} record bytes")
            elif crc64(records) != header.records_crc64 and not chunk.scan.damage:
                manifest.findings.append(f"{chunk.path}: the checksum of all records does not match")
        if header is not None and before is not None and before.index + 1 == chunk.index:
            _check_link(before, chunk, header, manifest)
        elif before is not None and before.index + 1 != chunk.index:
            manifest.findings.append(f"{chunk.path}: the chunk before it is missing")
        before = chunk


def _check_link(before: Chunk, chunk: Chunk, header: ChunkHeader, manifest: Manifest) -> None:
    if before.header is not None and before.header.sealed:
        if before.header.records_crc64 != header.previous_crc64:
            manifest.findings.append(f"{chunk.path}: does not continue the chain of {before.path.name}")
        if before.header.base_record + before.header.record_count != header.base_record:
            manifest.findings.append(f"{chunk.path}: begins with record {header.base_record}")


def _check_snapshots(manifest: Manifest) -> None:
    chunks = {chunk.index: chunk for chunk in manifest.chunks}
    for snapshot in manifest.snapshots:
        place = snapshot.header
        chunk = chunks.get(place.chunk_index)
        if chunk is None or chunk.scan.damage:
            continue
        name = f"{chunk.path.parent / f'snapshot_{place.snapshot_id:020}.bin'}"
        if place.chunk_offset > chunk.scan.end:
            manifest.findings.append(f"{name}: stands at {place.chunk_offset} of a chunk of {chunk.scan.end} bytes")
        elif crc64(chunk.data[CHUNK_HEADER_LENGTH : place.chunk_offset]) != place.chain_value:
            manifest.findings.append(f"{name}: does not continue the chain of {chunk.path.name}")


def _replay(manifest: Manifest) -> None:
    """The newest snapshot that verifies, then what stands behind it."""
    ordinal, chunk_index, chunk_offset = 1, 0, 0
    if manifest.snapshots:
        newest = manifest.snapshots[-1]
        manifest.state = State.of_snapshot(newest)
        place = newest.header
        ordinal, chunk_index, chunk_offset = place.ordinal, place.chunk_index, place.chunk_offset
    for chunk in manifest.chunks:
        if chunk.index < chunk_index:
            continue
        for record in chunk.believed():
            if record.ordinal < ordinal or (chunk.index == chunk_index and record.offset < chunk_offset):
                continue
            manifest.state.behind_damage |= record.ordinal != ordinal  # those between are lost
            manifest.state.apply(record)
            ordinal = record.ordinal + 1
    manifest.findings += [f"manifest: {misfit}" for misfit in manifest.state.misfits]


def replay_all(manifest: Manifest, until: int | None = None) -> State:
    """The state of the records alone, up to the ordinal `until` (exclusive)."""
    state, ordinal = State(), 1
    for record in manifest.records():
        if until is None or record.ordinal < until:
            state.behind_damage |= record.ordinal != ordinal
            state.apply(record)
            ordinal = record.ordinal + 1
    return state
