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


@pytest.fixture
def golden(tree: Path) -> tuple[bytes, int]:
    data = (tree / "engine/internal/segment/testdata/segment_filters.seg").read_bytes()
    footer = read_segment(memoryview(data), Elsewhere()).footer
    assert footer is not None
    return data, footer.index_offset


def test_an_object_gives_its_segment_and_its_tail(golden: tuple[bytes, int]) -> None:
    data, index = golden
    found = WarmObject(memoryview(object_of(data, [index])))
    footer, block = found.tail()
    assert footer.index_offset == index and len(block.frames) == 1
    assert found.frame(0) == data[:index]
    assert found.segment() == data == found.raw()
    assert found.segment_length == len(data)


def test_the_tool_zstd_reads_an_object_like_any_stream(golden: tuple[bytes, int], tmp_path: Path) -> None:
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


def test_a_table_with_checksums_is_read_too(golden: tuple[bytes, int]) -> None:
    data, index = golden
    raw = seekable([data[:index], data[index:]], checksums=True)
    assert WarmObject(memoryview(raw)).segment() == data


def test_frames_must_be_cut_as_the_index_says(golden: tuple[bytes, int]) -> None:
    data, index = golden
    with pytest.raises(CorruptError, match="not cut as the index"):
        WarmObject(memoryview(object_of(data, [512, index]))).segment()


def test_sizes_must_sum_to_the_object(golden: tuple[bytes, int]) -> None:
    data, index = golden
    raw = bytearray(object_of(data, [index]))
    first = len(raw) - 9 - 16
    compressed = struct.unpack_from("<I", raw, first)[0]
    struct.pack_into("<I", raw, first, compressed - 1)
    with pytest.raises(FormatError, match="sum to the object"):
        decode_seek_table(memoryview(raw))
    struct.pack_into("<I", raw, first, 1 << 31)
    with pytest.raises(FormatError, match="reaches too far"):
        decode_seek_table(memoryview(raw))
    with pytest.raises(NotOursError):
        decode_seek_table(memoryview(data))


def test_a_size_that_lies_takes_no_memory() -> None:
    """Neither the table's size nor the frame's own is believed before the bytes
    have come out."""
    noise = random.Random(1).randbytes(1000)
    raw = bytearray(seekable([noise, noise]))
    struct.pack_into("<I", raw, len(raw) - 9 - 12, 1 << 30)
    tracemalloc.start()
    try:
        found = WarmObject(memoryview(raw))
        with pytest.raises(CorruptError):
            found.frame(0)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_frame_that_goes_on_is_cut_off() -> None:
    raw = bytearray(seekable([bytes(50 << 20), b"end"]))
    struct.pack_into("<I", raw, len(raw) - 9 - 12, 1000)
    with pytest.raises(CorruptError, match="or more instead of 1000"):
        WarmObject(memoryview(raw)).frame(0)
