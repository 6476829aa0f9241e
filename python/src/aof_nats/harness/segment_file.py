"""A whole segment file: what it says, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .crc import crc64
from .errors import FormatError, VersionError
from .segment import (
    PARTIAL,
    SEALED,
    Footer,
    Header,
    Record,
    decode_header,
    find_footer,
    footer_at,
    header_checksum_holds,
)
from .segment_index import Index, compare_index, decode_index
from .segment_scan import BadRange, Item, Known, Scan, scan


@dataclass(frozen=True)
class Elsewhere:
    """What other places know of a file: its name, log.json, the manifest and
    the file behind it. None is what nobody knows."""

    log_id: int | None = None
    segment_id: int | None = None
    base_seq: int | None = None
    salt: int | None = None
    sealed_end: int | None = None
    sealed_last_seq: int | None = None
    next_base: int | None = None
    close_mark: int | None = None
    closed: bool = False


@dataclass
class SegmentFile:
    """The verdict over one file."""

    header: Header | None
    footer: Footer | None
    footer_offset: int | None
    index: Index | None
    scan: Scan
    findings: list[str] = field(default_factory=list)
    """What is wrong beside the damaged ranges of the scan, in words."""

    def items(self, read_only: bool) -> list[Item]:
        """What a reader gets: of an unfinished file, with read_only, only what
        was durable."""
        if read_only and not self.scan.complete:
            return self.scan.durable_items()
        return self.scan.items


def read_segment(data: memoryview, known: Elsewhere) -> SegmentFile:
    """Judges a file. Raises FormatError only if nothing can be read in it: a
    version that is not known, or a bad header that nothing else makes up for."""
    findings: list[str] = []
    header = _header(data, known, findings)
    log_id = known.log_id if known.log_id is not None else header.log_id if header else None
    segment_id = known.segment_id if known.segment_id is not None else header.segment_id if header else None
    place = footer = None
    if log_id is not None and segment_id is not None:
        place = find_footer(data, log_id, segment_id)
        footer = None if place is None else footer_at(data, place, log_id, segment_id)
    if footer is not None and not _has_salt(footer, header, known):
        place = footer = None
    salt, base_seq = _identity(header, footer, known)
    result = scan(data, salt, base_seq, _known(header, footer, known))
    file = SegmentFile(header, footer, place, None, result, findings)
    if footer is not None and place is not None:
        _check_footer(file, data, footer, place, known)
    elif known.sealed_last_seq is not None:
        findings.append("the footer of a sealed segment does not verify")
    return file


def _has_salt(footer: Footer, header: Header | None, known: Elsewhere) -> bool:
    """A payload may be a footer in everything but the salt."""
    salt = header.salt if header is not None else known.salt
    return salt is None or salt == footer.salt


def _header(data: memoryview, known: Elsewhere, findings: list[str]) -> Header | None:
    try:
        header = decode_header(data)
    except FormatError as error:
        if isinstance(error, VersionError) and header_checksum_holds(data):
            raise
        findings.append(str(error))
        return None
    pairs = ((known.log_id, header.log_id), (known.segment_id, header.segment_id), (known.base_seq, header.base_seq))
    if any(expected is not None and expected != found for expected, found in pairs):
        findings.append(
            f"segment header: of log {header.log_id:016x}, segment {header.segment_id}, base seq {header.base_seq}"
        )
        return None
    return header


def _identity(header: Header | None, footer: Footer | None, known: Elsewhere) -> tuple[int, int]:
    """Salt and base sequence. A bad header is made up for by the manifest, else
    by the footer; the name gives the base."""
    if header is not None:
        return header.salt, header.base_seq
    salt = known.salt if known.salt is not None else footer.salt if footer else None
    base = known.base_seq if known.base_seq is not None else footer.base_seq if footer else None
    if salt is None or base is None:
        raise FormatError("the segment header is bad, and neither manifest nor footer know what it said")
    return salt, base


def _known(header: Header | None, footer: Footer | None, known: Elsewhere) -> Known:
    if footer is not None:
        return Known(footer.index_offset, footer.last_seq)
    if known.sealed_last_seq is not None:
        return Known(known.sealed_end, known.sealed_last_seq)
    last_seq = None if known.next_base is None else known.next_base - 1
    header_lost = header is None and known.salt is not None
    allocated = header.allocated_bytes if header else 0
    return Known(None, last_seq, known.close_mark, header_lost, known.closed, allocated)


def _check_footer(file: SegmentFile, data: memoryview, footer: Footer, place: int, known: Elsewhere) -> None:
    if not footer.flags & SEALED:
        file.findings.append("footer: the flag sealed is not set")
    if known.next_base is not None and known.next_base != footer.last_seq + 1:
        file.findings.append(f"footer: last seq {footer.last_seq}, the next segment begins with {known.next_base}")
    if known.sealed_last_seq is not None and known.sealed_last_seq != footer.last_seq:
        file.findings.append(f"footer: last seq {footer.last_seq}, elsewhere it is {known.sealed_last_seq}")
    block = data[footer.index_offset : place]
    try:
        if crc64(block) != footer.index_crc64:
            raise FormatError("index: checksum does not match")
        file.index = decode_index(block)
    except FormatError as error:
        file.findings.append(str(error))
    if crc64(data[: footer.index_offset]) != footer.segment_crc64:
        if not file.scan.damage:
            file.findings.append("footer: the checksum of header and records does not match")
        return
    # The bytes are those that were sealed: everything said of them must hold.
    _compare_footer(file, footer)
    if file.index is not None:
        file.findings += [f"index: {text}" for text in compare_index(file.index, file.scan.items, footer.base_seq)]


def _last_epoch(file: SegmentFile, footer: Footer) -> int:
    """The epoch of the last owner that wrote into a file with a header. A mark
    that was damaged before the seal is known to the footer alone."""
    assert file.header is not None
    marks = [item.epoch() or 0 for item in file.scan.items if isinstance(item, Record)]
    seen = max([file.header.epoch, *marks])
    return max(seen, footer.epoch) if file.scan.damage else seen


def _compare_footer(file: SegmentFile, footer: Footer) -> None:
    records = file.scan.records
    ext_ids = [record.ext_id for record in records if record.ext_id]
    expected = {
        "record count": (footer.record_count, len(records)),
        "first seq": (footer.first_seq, footer.base_seq),
        "first ext id": (footer.first_ext_id, ext_ids[0] if ext_ids else 0),
        "last ext id": (footer.last_ext_id, ext_ids[-1] if ext_ids else 0),
        "index offset": (footer.index_offset, file.scan.end),
    }
    if records:
        expected["first timestamp"] = (footer.first_ts, records[0].timestamp)
        expected["maximum timestamp"] = (footer.max_ts, max(record.timestamp for record in records))
    if file.header is not None:
        expected["salt"] = (footer.salt, file.header.salt)
        expected["base seq"] = (footer.base_seq, file.header.base_seq)
        expected["epoch"] = (footer.epoch, _last_epoch(file, footer))
    for name, (found, said) in expected.items():
        if found != said:
            file.findings.append(f"footer: {name} is {found}, the records say {said}")
    damaged = [item for item in file.scan.items if isinstance(item, BadRange)]
    if damaged and not footer.flags & PARTIAL:
        file.findings.append("footer: damage was sealed without the flag partial")
