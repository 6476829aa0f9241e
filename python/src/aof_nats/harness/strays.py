"""Files that have the name of a copy and are none of the log: copies of others, and
what a move that was cut off left behind."""

from __future__ import annotations

from .copies import Copy
from .errors import FormatError
from .manifest_fields import WARM
from .manifest_open import Manifest
from .segment import HEADER_LENGTH, Header, decode_header
from .warm import WarmObject


def is_silent(manifest: Manifest) -> bool:
    """Whether the manifest may lack what copies say of themselves."""
    return not manifest.chunks or bool(manifest.findings)


def stray_hot(manifest: Manifest, log_id: int | None, copy: Copy) -> str:
    """Why a segment file contradicts the manifest or its own name, "" if it does
    not."""
    entry = manifest.state.segments.get(copy.segment_id)
    opened = entry is not None and bool(entry["opened"])
    if entry is not None and opened and entry["base seq"] != copy.base_seq:
        return f"the manifest has segment {copy.segment_id} with base sequence {entry.num('base seq')}"
    try:
        with copy.path.open("rb") as file:
            header = decode_header(memoryview(file.read(HEADER_LENGTH)))
    except FormatError:
        return ""
    own = _is_of(header, log_id, copy)
    if entry is not None and opened and own and header.salt != entry["salt"]:
        return "its salt is not the one that the manifest has"
    if not opened and not own:
        return f"its header is that of segment {header.segment_id} with base sequence {header.base_seq}"
    return ""


def is_counted_warm(manifest: Manifest, copy: Copy, sealed_ts: int) -> bool:
    """Whether the manifest counts on a warm file of that name."""
    entry = manifest.state.segments.get(copy.segment_id)
    if entry is None or not entry["sealed"] or not entry.num("resident tiers") >> WARM & 1:
        return False
    return (entry["base seq"], entry["sealed ts"]) == (copy.base_seq, sealed_ts)


def stray_warm(log_id: int | None, copy: Copy) -> bool:
    """Whether a warm file holds another segment than its name says."""
    try:
        header = decode_header(memoryview(WarmObject(memoryview(copy.path.read_bytes())).frame(0))[:HEADER_LENGTH])
    except FormatError:
        return False
    return not _is_of(header, log_id, copy)


def _is_of(header: Header, log_id: int | None, copy: Copy) -> bool:
    known = header.log_id if log_id is None else log_id
    return (header.log_id, header.segment_id, header.base_seq) == (known, copy.segment_id, copy.base_seq)
