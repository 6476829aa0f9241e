"""What is in a file or a directory, as tables of plain values.

Each function returns sections: a title, and rows that are dicts with the same
keys. The command prints them as text or as JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from .errors import NotOursError
from .manifest import ChunkReader, LostRecords, decode_chunk_header
from .manifest_fields import Location, Value
from .manifest_snapshot import SECTIONS, decode_snapshot
from .ndjson import rfc3339
from .root import open_root
from .segment import CONTROL_NAMES, Record
from .segment_file import Elsewhere, read_segment
from .segment_scan import BadRange, Item
from .warm import SEEKABLE_MAGIC, WarmObject

Row = dict[str, Any]


class Section(NamedTuple):
    """One table."""

    title: str
    rows: list[Row]


def inspect_path(path: Path) -> list[Section]:
    """Tells by the bytes what a file is. Raises FormatError if it is nothing of
    this project, or damaged beyond being read."""
    if path.is_dir():
        return inspect_root(path)
    data = memoryview(path.read_bytes())
    magic = bytes(data[:8])
    if magic == b"AOF2MLOG":
        return inspect_chunk(data)
    if magic == b"AOF2SNAP":
        return inspect_snapshot(data)
    if magic == b"AOF2SEGM" or path.suffix == ".seg":
        return inspect_segment(data)
    if data[-4:] == SEEKABLE_MAGIC.to_bytes(4, "little"):
        return inspect_object(data)
    raise NotOursError(f"{path}: neither segment, chunk, snapshot nor warm object")


def inspect_segment(data: memoryview) -> list[Section]:
    """A segment file on its own: nothing is known of it but its bytes."""
    file = read_segment(data, Elsewhere())
    sections = []
    if file.header is not None:
        sections.append(Section("segment header", [_ids(vars(file.header))]))
    sections.append(Section("records", [_item(item) for item in file.scan.items]))
    if file.index is not None:
        sections.append(Section("frames", [dict(vars(frame)) for frame in file.index.frames]))
        subjects = file.index.subjects or {}
        sections.append(Section("subjects", [{"subject": _text(n), **vars(s)} for n, s in subjects.items()]))
        lengths = [len(bits) for bits in file.index.filters or ()]
        sections.append(Section("filters", [{"frame": n, "bytes": size} for n, size in enumerate(lengths)]))
    if file.footer is not None:
        sections.append(Section("footer", [_ids(vars(file.footer))]))
    sections.append(Section("verdict", [_verdict(file.scan)]))
    sections.append(Section("findings", [{"finding": text} for text in file.findings]))
    return sections


def _verdict(scan: Any) -> Row:
    row = {name: getattr(scan, name) for name in ("end", "durable", "next_seq", "complete", "sealed", "closed")}
    row["torn_at"] = scan.torn.offset if scan.torn else None
    row["batch_records_cut"] = len(scan.batch_cut)
    return row


def _item(item: Item) -> Row:
    if isinstance(item, BadRange):
        seqs = f"{item.first_seq} to {item.last_seq}" if item.count > 0 else "no sequence"
        return {"offset": item.offset, "bytes": item.end - item.offset, "seq": None, "what": f"damage: {seqs}"}
    row: Row = {"offset": item.offset, "bytes": item.length, "seq": item.seq}
    if item.is_control:
        what = CONTROL_NAMES.get(item.kind, f"control record {item.kind}")
        return {**row, "what": what if item.epoch() is None else f"{what} {item.epoch()}"}
    row.update(what="record", time=rfc3339(item.timestamp), ext_id=item.ext_id, flags=item.flags)
    row.update(unsynced=item.unsynced, subject=_text(item.subject_bytes), payload_bytes=_payload_bytes(item))
    return row


def _payload_bytes(record: Record) -> int:
    return record.body_length - record.subject_length - record.headers_length


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _ids(fields: dict[str, Any]) -> Row:
    return {name: f"{value:016x}" if name in ("log_id", "salt") else value for name, value in fields.items()}


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Location):
        return dict(value._asdict())
    if isinstance(value, tuple):
        return [list(group) if isinstance(group, tuple) else group for group in value]
    return value


def inspect_chunk(data: memoryview) -> list[Section]:
    """A chunk on its own. Records of a chunk without a good header cannot be
    numbered, and so not be read: FormatError."""
    header = decode_chunk_header(data)
    scan = ChunkReader(data, header, header.base_record).run()
    sections = [Section("chunk header", [_ids(vars(header))])]
    rows: list[Row] = []
    row: Row
    for item in scan.items:
        if isinstance(item, LostRecords):
            lost = f"damage: {item.first_ordinal} to {item.last_ordinal}"
            row = {"offset": item.offset, "bytes": item.end - item.offset, "ordinal": None, "type": lost}
            rows.append(row)
            continue
        row = {"offset": item.offset, "bytes": item.length, "ordinal": item.ordinal, "type": item.name}
        row.update(segment=item.segment_id, logical_offset=item.logical_offset, ts=item.timestamp)
        row.update(unsynced=item.unsynced, fields={n: _plain(v) for n, v in item.fields().items()})
        rows.append(row)
    sections.append(Section("records", rows))
    verdict: Row = {"end": scan.end, "durable": scan.durable, "next_ordinal": scan.next_ordinal, "closed": scan.closed}
    verdict["torn_at"] = scan.torn.offset if scan.torn else None
    sections.append(Section("verdict", [verdict]))
    return sections


def inspect_snapshot(data: memoryview) -> list[Section]:
    snapshot = decode_snapshot(data)
    sections = [Section("snapshot header", [_ids(vars(snapshot.header))])]
    sections.append(Section("log state", [{n: _plain(v) for n, v in snapshot.log.items()}]))
    for kind, items in snapshot.items.items():
        sections.append(Section(SECTIONS[kind][0], [{n: _plain(v) for n, v in item.items()} for item in items]))
    return sections


def inspect_object(data: memoryview) -> list[Section]:
    """A warm or cold object, and the segment in it."""
    found = WarmObject(data)
    frames: list[Row] = [{"frame": number, **vars(frame)} for number, frame in enumerate(found.frames)]
    return [Section("zstd frames", frames), *inspect_segment(memoryview(found.segment()))]


def inspect_root(path: Path) -> list[Section]:
    """A row for each copy of each segment of each log."""
    rows: list[Row] = []
    for log in open_root(path).logs.values():
        for segment_id in log.segment_ids():
            for verdict in log.verdicts(segment_id):
                copy, file = verdict.copy, verdict.file
                row: Row = {"log": log.name, "segment": segment_id, "tier": copy.tier, "base_seq": copy.base_seq}
                row["file_bytes"] = copy.path.stat().st_size
                if file is None:
                    rows.append({**row, "state": verdict.error})
                    continue
                state = "sealed" if file.footer else "closed" if file.scan.closed else "open"
                row.update(last_seq=file.scan.next_seq - 1, records=len(file.scan.records), end=file.scan.end)
                row.update(durable=file.scan.durable, damaged=len(file.scan.damage), state=state)
                rows.append(row)
    return [Section("segments", rows)]


def as_text(sections: list[Section]) -> str:
    """Tables for people: one of two columns for a single row, else one with a
    column for each key."""
    lines: list[str] = []
    for section in sections:
        if not section.rows:
            continue
        lines.append(section.title)
        if len(section.rows) == 1 and len(section.rows[0]) > 4:
            width = max(map(len, section.rows[0]))
            lines += [f"  {name:<{width}}  {_cell(value)}" for name, value in section.rows[0].items()]
        else:
            lines += _table(section.rows)
        lines.append("")
    return "\n".join(lines)


def _table(rows: list[Row]) -> list[str]:
    columns: list[str] = []
    for row in rows:
        columns += [name for name in row if name not in columns]
    cells = [columns] + [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[n]) for line in cells) for n in range(len(columns))]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]


def _cell(value: None | int | str | dict[str, Any] | list[Any]) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "; ".join(f"{name}={_cell(item)}" for name, item in value.items())
    text = str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
