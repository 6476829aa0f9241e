"""CRC-32C and CRC-64/NVME.

Both are table driven here: eight bytes a step for short inputs, and many lanes
at once for long ones, where one bytes.translate looks thousands of bytes up. If
the package awscrt is there (extra `fast`), it does the same by hardware.
"""

from __future__ import annotations

import struct
from typing import Callable, Union, cast

Buffer = Union[bytes, bytearray, memoryview]

CRC32C_POLYNOMIAL = 0x82F63B78  # reflected
CRC64_POLYNOMIAL = 0x9A6C9329AC4BC9B5  # reflected
_LANES_FROM = 1 << 15  # bytes from which lanes are faster than words
_WORDS = struct.Struct("<Q")


def _byte_table(polynomial: int) -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


class TableCRC:
    """A reflected CRC of `width` bits whose start value and final xor are ones."""

    def __init__(self, width: int, polynomial: int) -> None:
        self.width = width
        self.mask = (1 << width) - 1
        tables = [_byte_table(polynomial)]
        for _ in range(7):
            tables.append([value >> 8 ^ tables[0][value & 255] for value in tables[-1]])
        self._tables = tables
        # _planes[k]: byte k of the register after a byte was shifted out of it.
        self._planes = [bytes(value >> 8 * k & 255 for value in tables[0]) for k in range(width // 8)]

    def __call__(self, data: Buffer, seed: int = 0) -> int:
        """The checksum of data, as if bytes with the checksum seed stood before it."""
        register = (seed ^ self.mask) & self.mask
        view = memoryview(data).cast("B")
        if len(view) >= _LANES_FROM:
            register, view = self._lanes(register, view)
        return self._words(register, view) ^ self.mask

    def _words(self, register: int, view: memoryview) -> int:
        t0, t1, t2, t3, t4, t5, t6, t7 = self._tables
        whole = len(view) & ~7
        for (word,) in _WORDS.iter_unpack(view[:whole]):
            word ^= register
            register = (
                t7[word & 255] ^ t6[word >> 8 & 255] ^ t5[word >> 16 & 255] ^ t4[word >> 24 & 255]
                ^ t3[word >> 32 & 255] ^ t2[word >> 40 & 255] ^ t1[word >> 48 & 255] ^ t0[word >> 56]
            )  # fmt: skip
        for byte in view[whole:]:
            register = register >> 8 ^ t0[(register ^ byte) & 255]
        return register

    def _lanes(self, register: int, view: memoryview) -> tuple[int, memoryview]:
        """Cuts data into lanes of equal length, steps all of them a byte at a
        time, and joins the registers: lane i's, moved over the lanes behind it."""
        lanes = min(4096, len(view) // 256)
        length = len(view) // lanes
        data = bytes(view[: lanes * length])
        planes = [0] * (self.width // 8)
        for k in range(len(planes)):  # the start value goes into the first lane alone
            planes[k] = register >> 8 * k & 255
        for at in range(length):
            column = int.from_bytes(data[at::length], "little")
            planes = self._step(planes, column, lanes)
        columns = [plane.to_bytes(lanes, "little") for plane in planes]
        registers = [sum(columns[k][i] << 8 * k for k in range(len(planes))) for i in range(lanes)]
        move = self._operator(length)
        joined = registers[0]
        for value in registers[1:]:
            joined = _apply(move, joined) ^ value
        return joined, view[lanes * length :]

    def _step(self, planes: list[int], column: int, lanes: int) -> list[int]:
        index = (planes[0] ^ column).to_bytes(lanes, "little")
        moved = planes[1:] + [0]
        return [below ^ int.from_bytes(index.translate(table), "little") for below, table in zip(moved, self._planes)]

    def _operator(self, length: int) -> list[list[int]]:
        """The register after `length` zero bytes, as one table a byte of it."""
        images = []
        for bit in range(self.width):
            images.append(1 << bit)
        power = self._zero_byte()
        while length:
            if length & 1:
                images = [_product(power, image) for image in images]
            power = [_product(power, image) for image in power]
            length >>= 1
        tables = []
        for k in range(self.width // 8):
            table = [0] * 256
            for value in range(1, 256):
                low = value & -value
                table[value] = table[value ^ low] ^ images[8 * k + low.bit_length() - 1]
            tables.append(table)
        return tables

    def _zero_byte(self) -> list[int]:
        table = self._tables[0]
        return [(1 << bit) >> 8 ^ table[(1 << bit) & 255] for bit in range(self.width)]


def _product(matrix: list[int], vector: int) -> int:
    result = 0
    while vector:
        low = vector & -vector
        result ^= matrix[low.bit_length() - 1]
        vector ^= low
    return result


def _apply(tables: list[list[int]], value: int) -> int:
    result = 0
    for table in tables:
        result ^= table[value & 255]
        value >>= 8
    return result


table_crc32c = TableCRC(32, CRC32C_POLYNOMIAL)
table_crc64 = TableCRC(64, CRC64_POLYNOMIAL)

_hardware32: Callable[[Buffer, int], int] | None = None
_hardware64: Callable[[Buffer, int], int] | None = None
try:
    from awscrt import checksums as _checksums

    _hardware32 = cast(Callable[[Buffer, int], int], _checksums.crc32c)
    _hardware64 = cast(Callable[[Buffer, int], int], _checksums.crc64nvme)
except (ImportError, AttributeError):
    pass


def crc32c(data: Buffer, seed: int = 0) -> int:
    """CRC-32C of data, seeded: seed is the checksum of what stands before it."""
    if _hardware32 is not None:
        return _hardware32(data, seed)
    return table_crc32c(data, seed)


def crc64(data: Buffer, seed: int = 0) -> int:
    """CRC-64/NVME of data, seeded like crc32c."""
    if _hardware64 is not None:
        return _hardware64(data, seed)
    return table_crc64(data, seed)
