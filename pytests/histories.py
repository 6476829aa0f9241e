"""Random histories of a segment, and what a crash and a disk do to it."""

from __future__ import annotations

import random

from encoder import BATCH, Writer

SECTOR = 512


def payload(rng: random.Random) -> bytes:
    """Short or long, at times with whole sectors of zeros in it."""
    kind = rng.randrange(10)
    if kind == 0:
        return bytes(rng.randrange(600, 2000))
    if kind == 1:
        return rng.randbytes(rng.randrange(500, 3000))
    return rng.randbytes(rng.randrange(0, 200))


def commit(rng: random.Random, writer: Writer) -> None:
    """Records of one write; at times some of them are an atomic batch."""
    left = rng.randrange(1, 7)
    while left > 0:
        size = rng.randrange(2, 5) if rng.random() < 0.3 else 1
        for number in range(size):
            writer.append(payload(rng), BATCH if number < size - 1 else 0)
        left -= size


def history(rng: random.Random, writer: Writer) -> None:
    """Commits, most of them synced, and marks. What stands behind writer.synced
    at the end was never synced."""
    for _ in range(rng.randrange(1, 8)):
        commit(rng, writer)
        if rng.random() < 0.75:
            writer.sync()
        if rng.random() < 0.15:
            writer.mark(1)
    for _ in range(rng.randrange(0, 3)):
        commit(rng, writer)


def crash(rng: random.Random, writer: Writer, length: int) -> bytearray:
    """The file after power was lost: any sector that was not synced may be zero."""
    data = bytearray(writer.file(length))
    end = len(writer.data)
    share = rng.choice([0.0, 0.2, 0.5, 1.0])
    start = writer.synced
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if rng.random() < share:
            data[start:stop] = bytes(stop - start)
        start = stop
    return data


def damage(rng: random.Random, data: bytearray, lowest: int = 0) -> str:
    """Does to a file what disks and people do. Returns what, in words."""
    used = len(bytes(data).rstrip(b"\0"))
    at = rng.randrange(min(lowest, max(0, used - 1)), max(1, used))
    kind = rng.choice(["flip", "flip", "flip", "zero sectors", "zero bytes", "garbage", "truncate", "truncate", "flip at the end"])
    size = rng.randrange(1, 3000)
    if kind == "flip at the end":
        at = max(0, used - rng.randrange(1, 600))
    if kind.startswith("flip"):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "zero sectors":
        at, size = at // SECTOR * SECTOR, SECTOR * rng.choice([1, 1, 2, 8])
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif kind == "zero bytes":
        data[at : at + size // 8] = bytes(len(data[at : at + size // 8]))
    elif kind == "garbage":
        data[at : at + size] = rng.randbytes(len(data[at : at + size]))
    else:
        at = rng.choice([at, at, at // SECTOR * SECTOR, rng.randrange(used, len(data) + 1)])  # the last in its zeros
        del data[at:]
    return f"{kind} at {at}"
