"""The golden files of the program, read by the other implementation."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from aof_nats.harness import manifest, segment
from aof_nats.harness.crc import crc64
from aof_nats.harness.manifest_fields import RECORD_TYPES, Fields, Location, reason_name
from aof_nats.harness.manifest_open import read_manifest, replay_all
from aof_nats.harness.manifest_state import State, differences
from aof_nats.harness.segment_file import Elsewhere, read_segment

SALT = 0x1122334455667788  # of the golden header


def segment_data(tree: Path, name: str) -> memoryview:
    return memoryview((tree / "engine/internal/segment/testdata" / name).read_bytes())


@pytest.mark.parametrize("name", ["segment_dictionary", "segment_filters", "segment_partial"])
def test_whole_segments_say_what_their_records_say(tree: Path, name: str) -> None:
    file = read_segment(segment_data(tree, f"{name}.seg"), Elsewhere())
    assert file.findings == []
    assert file.footer is not None and file.index is not None
    assert file.scan.sealed and file.scan.complete
    assert [record.seq for record in file.scan.records] + [
        seq for bad in file.scan.damage for seq in range(bad.first_seq, bad.last_seq + 1)
    ] != []
    assert len(file.scan.damage) == (1 if name == "segment_partial" else 0)
    assert (file.index.filters is not None) == (name == "segment_filters")


def test_header_and_footer(tree: Path) -> None:
    header = segment.decode_header(segment_data(tree, "header.bin"))
    footer = segment.decode_footer(segment_data(tree, "footer.bin"))
    assert header.salt == SALT
    assert header.allocated_bytes == 64 << 20
    values = [getattr(footer, name) for name in footer.__dataclass_fields__]
    assert values == [0x80000005, 1, 2, 3, 4, 5, 6, 5, 10, -7, 8, 9, 10, 11, 12, 13, 1024, 64, 14]


@pytest.mark.parametrize("name", ["record_odd", "record_empty_payload", "record_headers"])
def test_records(tree: Path, name: str) -> None:
    data = segment_data(tree, f"{name}.bin")
    record = segment.decode_record(data, 0, len(data), SALT & 0xFFFFFFFF)
    assert record is not None and record.length == len(data)
    assert record.subject
    assert bool(record.headers()) == (name == "record_headers")
    assert (record.body == b"") == (name == "record_empty_payload")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("mark_seal", [segment.SEAL_MARK]),
        ("mark_epoch", [segment.EPOCH_MARK]),
        ("mark_durable_pair", [segment.DURABLE_MARK, segment.DURABLE_MARK]),
        ("mark_close_pair", [segment.DURABLE_MARK, segment.CLOSE_MARK]),
    ],
)
def test_control_records(tree: Path, name: str, kinds: list[int]) -> None:
    data = segment_data(tree, f"{name}.bin")
    at, found = 0, []
    while at < len(data):
        record = segment.decode_record(data, at, len(data), SALT & 0xFFFFFFFF)
        assert record is not None and record.is_control
        found.append(record.kind)
        at = record.end
    assert found == kinds
    if name == "mark_epoch":
        record = segment.decode_record(data, 0, len(data), SALT & 0xFFFFFFFF)
        assert record is not None and record.epoch()


def golden_records(tree: Path) -> list[tuple[str, list[str], bytes]]:
    """Name, fields in words, and bytes of each record in records.txt."""
    text = (tree / "manifest/testdata/records.txt").read_text("utf-8")
    found = []
    for block in text.strip().split("\n\n"):
        name, *fields, raw = block.splitlines()
        found.append((name, [line.strip() for line in fields], bytes.fromhex(raw.strip())))
    return found


def in_words(kind: str, name: str, fields: Fields) -> str:
    """A field as the golden file prints it."""
    value = fields[name]
    if isinstance(value, Location):
        text = "{" + " ".join(map(str, value)) + "}"
    elif isinstance(value, bytes):
        text = value.hex()
    elif isinstance(value, bool):
        text = str(value).lower()
    elif name == "reason":
        text = reason_name(fields.num(name))
    elif name.endswith("tier"):
        text = ("hot", "warm", "cold")[fields.num(name)]
    else:
        text = str(value)
    return f"{kind} {name} = {text}"


def test_every_type_of_manifest_record(tree: Path) -> None:
    seen = set()
    for name, lines, raw in golden_records(tree):
        record = manifest.decode_manifest_record(memoryview(raw), 0, len(raw))
        assert record is not None and record.name == name and record.length == len(raw)
        fields = record.fields()
        assert fields.rest == b""
        kinds = [line.split(" ", 1)[0] for line in lines]
        assert [in_words(kind, n, fields) for kind, n in zip(kinds, fields)] == lines
        seen.add(name)
    assert {name for name, _, _ in RECORD_TYPES.values()} <= seen


def test_chunks_as_the_other_inspector_prints_them(tree: Path) -> None:
    folder = tree / "manifest/testdata"
    golden = (folder / "inspect.txt").read_text("utf-8")
    lines = []
    for chunk in read_manifest(folder).chunks:
        for record in chunk.scan.records:
            place = f"{chunk.path.name} {record.offset}+{record.length}"
            what = f"record {record.ordinal} {record.name} of segment {record.segment_id}"
            rest = f"offset {record.logical_offset}, ts {record.timestamp}, unsynced {record.unsynced}"
            lines.append(f"{place} {what}, {rest};")
    assert lines == re.findall(r"^\S+\.mlog \d+\+\d+ record .*?;", golden, re.M)


def test_the_chain_and_the_places_of_snapshots_hold(tree: Path) -> None:
    found = read_manifest(tree / "manifest/testdata")
    assert found.findings == []
    assert len(found.chunks) == 2 and len(found.snapshots) == 2
    second = found.chunks[1].header
    assert second is not None
    assert second.previous_crc64 == crc64(found.chunks[0].data[manifest.CHUNK_HEADER_LENGTH :])


def test_replay_gives_what_the_snapshots_hold(tree: Path) -> None:
    """But for what a snapshot knows from elsewhere, and its own id."""
    found = read_manifest(tree / "manifest/testdata")
    elsewhere = ["next seq", "last ts", "dedup window ns", "dedup max ids", "last snapshot id"]
    for snapshot in found.snapshots:
        replayed = replay_all(found, snapshot.header.ordinal)
        assert replayed.misfits == []
        assert differences(replayed, State.of_snapshot(snapshot), elsewhere) == []
        assert replayed.log.num("next seq") <= snapshot.log.num("next seq")


def test_a_clean_close_is_recognised(tree: Path) -> None:
    """The golden chunk, with the zeros that its file would have."""
    raw = (tree / "manifest/testdata/00000000000000000002.mlog").read_bytes()
    header = manifest.decode_chunk_header(memoryview(raw))
    whole = memoryview(raw + bytes(header.allocated_bytes - len(raw)))
    assert manifest.ChunkReader(whole, header, header.base_record).run().closed
    cut = bytearray(whole)
    struct.pack_into("<Q", cut, 512, 0)
    assert not manifest.ChunkReader(memoryview(cut), header, header.base_record).run().closed
