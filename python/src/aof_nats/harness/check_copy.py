"""Check of one copy of a segment: by itself, and against the manifest."""

from __future__ import annotations

from collections.abc import Iterator

from .copies import CopyVerdict
from .crc import crc64
from .findings import Finding
from .manifest_fields import TIER_NAMES, Fields
from .root import LogView
from .segment import FLUSH_FAILURE
from .segment_scan import BadRange

# What SealSegment says of a segment, by the names of the footer.
_SEAL = (
    ("durable bytes", "durable_bytes"), ("segment crc64", "segment_crc64"), ("index offset", "index_offset"),
    ("first seq", "first_seq"), ("last seq", "last_seq"), ("first ts", "first_ts"), ("max ts", "max_ts"),
    ("record count", "record_count"), ("last ext_id", "last_ext_id"),
)  # fmt: skip
_OPENED = (("base seq", "base_seq"), ("salt", "salt"), ("epoch", "epoch"))


def of_copy(verdict: CopyVerdict) -> Iterator[Finding]:
    """What is wrong with a copy, whatever the others say."""
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
    footer = verdict.file.footer
    if copy.tier == "cold" and footer is not None:
        if (footer.first_seq, footer.last_seq) != (copy.base_seq, copy.last_seq):
            text = f"holds the sequences {footer.first_seq} to {footer.last_seq}, its key says otherwise"
            yield Finding(str(copy.path), text, copy.segment_id)


def against_manifest(log: LogView, verdict: CopyVerdict) -> Iterator[Finding]:
    """In what a copy differs from what was recorded of it. All copies hold the
    same segment; lengths and the checksum of the whole are those of one tier."""
    copy, file = verdict.copy, verdict.file
    entry = log.manifest.state.segments.get(copy.segment_id)
    if entry is None:
        return
    pairs: list[tuple[str, object, object]] = []
    if entry["opened"]:
        pairs.append(("base seq", copy.base_seq, entry["base seq"]))
        if file is not None and file.header is not None:
            pairs += [(f"{name} in the header", getattr(file.header, ours), entry[name]) for name, ours in _OPENED]
        if file is not None and file.footer is not None:
            # Its epoch is that of a later owner if the segment was continued.
            pairs += [(f"{name} in the footer", getattr(file.footer, ours), entry[name]) for name, ours in _OPENED[:2]]
    if entry["sealed"] and file is not None and file.footer is not None:
        footer = file.footer
        pairs += [(f"{name} in the footer", getattr(footer, ours), entry[name]) for name, ours in _SEAL]
        flag = bool(footer.flags & FLUSH_FAILURE)
        pairs.append(("flush failure in the footer", flag, bool(entry["flush failure"])))
    if copy.tier != "hot" and entry.num("resident tiers") >> TIER_NAMES.index(copy.tier) & 1:
        if copy.key in ("", entry["cold key"]):
            pairs += _object(verdict, entry)
    for what, found, said in pairs:
        if found != said:
            yield Finding(str(copy.path), f"{what} is {found}, the manifest says {said}", copy.segment_id)


def _object(verdict: CopyVerdict, entry: Fields) -> list[tuple[str, object, object]]:
    """Length, tail and checksum of an object that the manifest counts on."""
    copy = verdict.copy
    data = memoryview(copy.path.read_bytes())
    pairs: list[tuple[str, object, object]] = [("object bytes", len(data), entry[f"{copy.tier} object bytes"])]
    if copy.tail_bytes is not None:
        pairs.append(("tail bytes", copy.tail_bytes, entry[f"{copy.tier} tail bytes"]))
    if copy.tier == "warm" and entry["warm crc64"]:
        pairs.append(("crc64 of the file", crc64(data), entry["warm crc64"]))
    if copy.tier == "cold":
        pairs.append(("generation", copy.generation, entry["cold generation"]))
    return pairs
