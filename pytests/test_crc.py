"""Checksums: pinned values, and the ways to compute them against each other."""

from __future__ import annotations

import random

import pytest
from aof_nats.harness import crc

CHECK = b"123456789"


def test_check_values_are_those_of_the_pages() -> None:
    assert crc.table_crc32c(CHECK) == 0xE3069283
    assert crc.table_crc64(CHECK) == 0xAE8B14860A799888
    assert crc.crc32c(CHECK) == 0xE3069283
    assert crc.crc64(CHECK) == 0xAE8B14860A799888


def bitwise(data: bytes, polynomial: int, mask: int, seed: int) -> int:
    register = seed ^ mask
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (polynomial if register & 1 else 0)
    return register ^ mask


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 63, 64, 1000])
def test_words_agree_with_single_bits(length: int) -> None:
    data = random.Random(length).randbytes(length)
    for seed in (0, 1, 0xFFFFFFFF):
        assert crc.table_crc32c(data, seed) == bitwise(data, crc.CRC32C_POLYNOMIAL, (1 << 32) - 1, seed)
        assert crc.table_crc64(data, seed) == bitwise(data, crc.CRC64_POLYNOMIAL, (1 << 64) - 1, seed)


@pytest.mark.parametrize("length", [1 << 15, (1 << 15) + 1, 100_003, 1_500_000])
def test_lanes_agree_with_words(length: int) -> None:
    data = random.Random(length).randbytes(length)
    for whole in (crc.table_crc32c, crc.table_crc64):
        parts = 0
        for at in range(0, length, 10_000):
            parts = whole(data[at : at + 10_000], parts)
        assert whole(data) == parts
        assert whole(memoryview(data)[1:], whole(data[:1])) == parts
