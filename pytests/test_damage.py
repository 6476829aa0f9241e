"""Every byte of every structure, flipped, and every length: what comes back is
a finding or the same records, and never another error."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from aof_nats.harness.crc import crc32c
from aof_nats.harness.errors import FormatError
from aof_nats.harness.manifest import ChunkReader, decode_chunk_header
from aof_nats.harness.manifest_open import read_manifest
from aof_nats.harness.manifest_snapshot import decode_snapshot
from aof_nats.harness.manifest_state import State, differences
from aof_nats.harness.segment import decode_footer, decode_header
from aof_nats.harness.segment_file import Elsewhere, SegmentFile, read_segment
from aof_nats.harness.warm import WarmObject
from encoder import Writer, object_of

SEGMENTS = ["segment_dictionary", "segment_filters", "segment_partial"]


def flips(data: bytes, seed: int) -> Iterator[tuple[int, memoryview]]:
    rng = random.Random(seed)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        yield at, memoryview(bytes(flipped))


def golden_segment(tree: Path, name: str) -> tuple[bytes, Elsewhere]:
    data = (tree / "engine/internal/segment/testdata" / f"{name}.seg").read_bytes()
    header = decode_header(memoryview(data))
    return data, Elsewhere(header.log_id, header.segment_id, header.base_seq)


def noticed(file: SegmentFile) -> bool:
    return bool(file.findings or file.scan.damage or file.scan.torn or file.footer is None)


@pytest.mark.parametrize("name", SEGMENTS)
def test_a_flipped_byte_of_a_segment(tree: Path, name: str) -> None:
    data, known = golden_segment(tree, name)
    whole = [record.content() for record in read_segment(memoryview(data), known).scan.records]
    step = 3 if name == "segment_filters" else 1  # most of it is 60 records alike
    for at, flipped in flips(data, 1):
        if at % step:
            continue
        file = read_segment(flipped, known)
        records = [record.content() for record in file.scan.records]
        assert set(records) <= set(whole), at
        assert records == whole or noticed(file), at


@pytest.mark.parametrize("name", SEGMENTS)
def test_each_length_of_a_segment(tree: Path, name: str) -> None:
    data, known = golden_segment(tree, name)
    whole = [record.content() for record in read_segment(memoryview(data), known).scan.records]
    for length in range(0, len(data), 3):
        try:
            records = [r.content() for r in read_segment(memoryview(data[:length]), known).scan.records]
        except FormatError:
            assert length < 128
            continue
        assert records == whole[: len(records)]


def test_a_flipped_byte_of_a_chunk(tree: Path) -> None:
    for name in ("00000000000000000001.mlog", "00000000000000000002.mlog"):
        data = (tree / "manifest/testdata" / name).read_bytes()
        header = decode_chunk_header(memoryview(data))
        whole = ChunkReader(memoryview(data), header, header.base_record).run().records
        for at, flipped in flips(data, 2):
            if at < 128:
                with pytest.raises(FormatError):
                    decode_chunk_header(flipped)
                continue
            scan = ChunkReader(flipped, header, header.base_record).run()
            assert set(scan.records) <= set(whole), at
            assert scan.records == whole or scan.damage or scan.torn, at


def test_a_flipped_byte_in_a_manifest_directory(tree: Path, tmp_path: Path) -> None:
    """Each file in turn: the others make up for it, or something is found."""
    source = tree / "manifest/testdata"
    names = [path.name for path in source.iterdir() if path.suffix in (".mlog", ".bin")]
    for name in names:
        (tmp_path / name).write_bytes((source / name).read_bytes())
    whole = read_manifest(tmp_path).state
    for name in sorted(names):
        data = (source / name).read_bytes()
        for at, flipped in flips(data, 3):
            if at % 7:  # a seventh of them: each reads the whole directory
                continue
            (tmp_path / name).write_bytes(flipped)
            found = read_manifest(tmp_path)
            assert found.findings or differences(found.state, whole) == [], (name, at)
        (tmp_path / name).write_bytes(data)


def test_a_flipped_byte_of_a_snapshot(tree: Path) -> None:
    data = (tree / "manifest/testdata/snapshot_00000000000000000002.bin").read_bytes()
    whole = State.of_snapshot(decode_snapshot(memoryview(data)))
    for at, flipped in flips(data, 4):
        try:
            assert differences(State.of_snapshot(decode_snapshot(flipped)), whole) == [], at
        except FormatError:
            continue
    for length in range(len(data)):
        with pytest.raises(FormatError):
            decode_snapshot(memoryview(data[:length]))


def test_a_flipped_byte_of_a_warm_object(tree: Path) -> None:
    data, known = golden_segment(tree, "segment_dictionary")
    footer = read_segment(memoryview(data), known).footer
    assert footer is not None
    whole = object_of(data, [footer.index_offset])
    assert WarmObject(memoryview(whole)).segment() == data
    for at, flipped in flips(whole, 5):
        try:
            assert WarmObject(flipped).segment() == data, at
        except FormatError:
            continue
    for length in range(len(whole)):
        with pytest.raises(FormatError):
            WarmObject(memoryview(whole[:length])).segment()


def test_random_bytes_are_refused_or_found(tree: Path) -> None:
    rng = random.Random(6)
    for size in (0, 1, 15, 16, 127, 128, 129, 500, 5000):
        for _ in range(20):
            noise = memoryview(rng.randbytes(size))
            for decode in (decode_chunk_header, decode_snapshot, WarmObject, decode_header):
                with pytest.raises(FormatError):
                    decode(noise)
            file = read_segment(noise, Elsewhere(1, 2, 3, 4))
            assert file.scan.records == []


@pytest.mark.parametrize("header_is_lost", [False, True])
def test_a_footer_in_a_payload_is_none(header_is_lost: bool) -> None:
    """Whoever publishes knows everything of the segment but its salt."""
    writer = Writer(log_id=7, segment_id=2, base_seq=5, salt=99)
    writer.append(b"before")
    payload_at = len(writer.data) + 48 + len(b"x.y")
    aligned = payload_at + -payload_at % 8
    fields = [7, 2, 0, 1, 5, 0, 5, 4, 0, 0, 0, 0, 128, 0, 0, 128, aligned - 128, 0]
    forged = struct.pack("<8sHHI18Q28x", b"AOF2FOOT", 3, 192, 1, *fields)
    writer.append(bytes(aligned - payload_at) + forged + struct.pack("<I", crc32c(forged)))
    writer.append(b"behind")
    writer.sync()
    data = bytearray(writer.file(1 << 16))
    assert decode_footer(memoryview(data)[aligned : aligned + 192]).segment_id == 2
    if header_is_lost:
        data[:128] = bytes(128)
    file = read_segment(memoryview(data), Elsewhere(7, 2, 5, salt=99 if header_is_lost else None))
    assert file.footer is None
    assert [record.seq for record in file.scan.records] == [5, 6, 7]
