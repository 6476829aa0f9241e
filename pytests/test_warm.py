"""Warm objects: frames, tail, the whole segment, and tables that lie."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from aof_nats.harness.errors import CorruptError, FormatError, NotOursError
from aof_nats.harness.segment_file import Elsewhere, read_segment
from aof_nats.harness.warm import WarmObject, decode_seek_table
from encoder import object_of, seekable

SEGMENTS = "engine/internal/segment/testdata"
OBJECTS = "engine/internal/tier/testdata"


@pytest.fixture
def golden(tree: Path) -> tuple[bytes, int]:
    data = (tree / SEGMENTS / "segment_filters.seg").read_bytes()
    footer = read_segment(memoryview(data), Elsewhere()).footer
    assert footer is not None
    return data, footer.index_offset


@pytest.mark.parametrize("name", ["segment_dictionary", "segment_filters", "segment_partial"])
def test_objects_of_the_program_give_their_segments(tree: Path, name: str) -> None:
    found = WarmObject(memoryview((tree / OBJECTS / f"{name}.zst").read_bytes()))
    segment = (tree / SEGMENTS / f"{name}.seg").read_bytes()
    assert found.segment() == segment
    assert found.salvage() == (segment, [])


def test_an_object_gives_its_tail_alone(golden: tuple[bytes, int]) -> None:
    data, index = golden
    found = WarmObject(memoryview(object_of(data, [index])))
    footer, block = found.tail()
    assert footer.index_offset == index and len(block.frames) == 1
    assert found.frame(0) == data[:index]
    assert found.segment_length == len(data)


def test_zstd_reads_an_object_like_any_stream(golden: tuple[bytes, int], tmp_path: Path) -> None:
    """The seek table is a skippable frame."""
    import zstandard

    data, index = golden
    raw = object_of(data, [index])
    tool = shutil.which("zstd")
    if tool is not None:
        (tmp_path / "x.zst").write_bytes(raw)
        assert subprocess.run([tool, "-dcq", str(tmp_path / "x.zst")], capture_output=True, check=True).stdout == data
    with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as reader:
        assert reader.read(len(data) + 1) == data


def test_frames_must_be_cut_as_the_index_says(golden: tuple[bytes, int]) -> None:
    data, index = golden
    with pytest.raises(CorruptError, match="not cut as the index"):
        WarmObject(memoryview(object_of(data, [512, index]))).segment()


def test_damage_in_a_frame_costs_that_frame(golden: tuple[bytes, int]) -> None:
    data, index = golden
    raw = bytearray(object_of(data, [512, index]))
    raw[20] ^= 1
    salvaged, findings = WarmObject(memoryview(raw)).salvage()
    assert salvaged == bytes(512) + data[512:] and len(findings) == 1


def entry(raw: bytearray, number: int, count: int = 2) -> int:
    """Where an entry of the seek table stands."""
    return len(raw) - 9 - 12 * (count - number)


def test_sizes_must_sum_to_the_object(golden: tuple[bytes, int]) -> None:
    data, index = golden
    raw = bytearray(object_of(data, [index]))
    first = entry(raw, 0)
    compressed, size = struct.unpack_from("<II", raw, first)
    for changed, what in ((compressed - 1, "sum to the object"), (size * 2, "bytes for"), (13, "bytes for")):
        struct.pack_into("<I", raw, first, changed)
        with pytest.raises(FormatError, match=what):
            decode_seek_table(memoryview(raw))
    with pytest.raises(NotOursError):
        decode_seek_table(memoryview(data))


def test_the_table_bounds_what_is_in_it(golden: tuple[bytes, int]) -> None:
    data, index = golden
    whole = object_of(data, [index])
    for at, value in ((len(whole) - 5, b"\x00"), (len(whole) - 5, b"\xc0"), (len(whole) - 9, struct.pack("<I", 1))):
        raw = bytearray(whole)
        raw[at : at + len(value)] = value
        with pytest.raises(CorruptError, match="seek table"):
            decode_seek_table(memoryview(raw))
    for changed in (192, 192 + 1 << 20):  # of the index frame: no index at all, and one too long
        raw = bytearray(whole)
        struct.pack_into("<I", raw, entry(raw, 1) + 4, changed)
        with pytest.raises(CorruptError, match="bytes are no index frame"):
            decode_seek_table(memoryview(raw))


def test_a_frame_in_the_place_of_another_is_noticed() -> None:
    """Two frames of equal sizes, swapped with all but their checksums."""
    rng = random.Random(2)
    parts = [rng.randbytes(1000), rng.randbytes(1000), bytes(200)]
    length = struct.unpack_from("<I", (raw := bytearray(seekable(parts))), entry(raw, 0, 3))[0]
    raw[:length], raw[length : 2 * length] = raw[length : 2 * length], raw[:length]
    with pytest.raises(CorruptError, match="another checksum"):
        WarmObject(memoryview(raw)).frame(0)


def test_a_size_that_lies_takes_no_memory() -> None:
    """Neither the table's size nor the frame's own is believed before the bytes
    have come out."""
    noise = random.Random(1).randbytes(1000)
    raw = bytearray(seekable([noise, bytes(200)]))
    struct.pack_into("<I", raw, entry(raw, 0) + 4, 1 << 30)
    tracemalloc.start()
    try:
        found = WarmObject(memoryview(raw))
        with pytest.raises(CorruptError):
            found.frame(0)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_an_object_with_a_damaged_tail_gives_its_records(golden: tuple[bytes, int]) -> None:
    """Whichever byte of the last frame or the seek table is flipped, and however
    much of them is cut off."""
    data, index = golden
    whole = object_of(data, [512, index])
    tail = decode_seek_table(memoryview(whole))[-1].offset
    for at in range(tail, len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        for raw in (flipped, whole[:at]):
            try:
                found = WarmObject(memoryview(raw))
            except FormatError:
                found = WarmObject(memoryview(raw), torn=True)
            assert found.salvage()[0][:index] == data[:index], at
