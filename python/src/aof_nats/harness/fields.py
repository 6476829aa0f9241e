"""Bounded reading of little-endian fields."""

from __future__ import annotations

import struct

from .errors import CorruptError, NotOursError, TruncatedError, VersionError

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")

U64 = (1 << 64) - 1


class Cursor:
    """Takes fields off a view, from its start on. No step leaves the view:
    TruncatedError is raised instead, and names what was to be read."""

    def __init__(self, data: memoryview, what: str) -> None:
        self._data = data
        self._what = what
        self.at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def take(self, count: int) -> memoryview:
        if count > self.left:
            raise TruncatedError(f"{self._what}: {count} bytes wanted at {self.at}, {self.left} left")
        self.at += count
        return self._data[self.at - count : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int(_U16.unpack(self.take(2))[0])

    def u32(self) -> int:
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def i64(self) -> int:
        return int(_I64.unpack(self.take(8))[0])

    def varint(self) -> int:
        """An unsigned LEB128 of at most 64 bits."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 127) << shift
            if not byte & 128:
                if value > U64:
                    break
                return value
        raise CorruptError(f"{self._what}: a varint of more than 64 bits ends at {self.at}")

    def text(self, count: int) -> str:
        """So many bytes of UTF-8."""
        return decode_text(self.take(count), self._what)


def decode_text(data: memoryview, what: str) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise CorruptError(f"{what}: {error}") from None


def check_preamble(data: memoryview, magic: bytes, version: int, length: int, what: str) -> int:
    """Checks magic, version, length and flags as they stand at the start of
    each header and footer, in the order of the pages. Returns the flags."""
    if len(data) < 16:
        raise TruncatedError(f"{what}: {len(data)} bytes")
    if data[:8] != magic:
        raise NotOursError(f"{what}: magic {bytes(data[:8])!r} instead of {magic!r}")
    found, stated, flags = struct.unpack_from("<HHI", data, 8)
    if found != version:
        raise VersionError(f"{what}: version {found}, this reader knows {version}")
    if stated != length:
        raise CorruptError(f"{what}: states a length of {stated} instead of {length}")
    if len(data) < length:
        raise TruncatedError(f"{what}: {len(data)} of {length} bytes")
    return int(flags)


def check_flags(flags: int, known: int, what: str) -> None:
    """Refuses unknown flags of the incompatible (low) half."""
    unknown = flags & 0xFFFF & ~known
    if unknown:
        raise VersionError(f"{what}: unknown flags {unknown:#x}")


def last_nonzero(data: memoryview, start: int = 0) -> int:
    """The offset behind the last byte that is not zero, `start` if all are."""
    end = len(data)
    while end > start:
        begin = max(start, end - (1 << 16))
        block = bytes(data[begin:end]).rstrip(b"\0")
        if block:
            return begin + len(block)
        end = begin
    return start


def round8(value: int) -> int:
    return value + 7 & ~7


def sector_is_zero(data: memoryview, start: int, end: int, sector: int = 512) -> bool:
    """Whether some sector's share of [start, end) is all zero."""
    while start < end:
        stop = min(end, (start // sector + 1) * sector)
        if not any(data[start:stop]):
            return True
        start = stop
    return False
