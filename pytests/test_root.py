"""Whole roots and buckets: what holds a record, cross references, commands."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from aof_nats.harness import command
from aof_nats.harness.check import check_root
from aof_nats.harness.copies import Damage
from aof_nats.harness.crc import crc64
from aof_nats.harness.root import LogView, open_root
from aof_nats.harness.segment import Footer, Record
from aof_nats.harness.segment_file import Elsewhere, read_segment
from aof_nats.harness.warm import decode_seek_table
from encoder import ChunkWriter, object_of, text

LOG, LOG_ID = "N", 0xA1A2A3A4A5A6A7A8
SEGMENT = 7
BASE, LAST = 1001, 1007


@pytest.fixture
def segment(tree: Path) -> tuple[bytes, Footer]:
    data = (tree / "engine/internal/segment/testdata/segment_dictionary.seg").read_bytes()
    footer = read_segment(memoryview(data), Elsewhere()).footer
    assert footer is not None
    return data, footer


def sealed_payload(footer: Footer) -> bytes:
    return struct.pack(
        "<QQQQqqQQQB", footer.durable_bytes, footer.segment_crc64, footer.first_seq, footer.last_seq, footer.first_ts,
        footer.max_ts, footer.record_count, footer.last_ext_id, footer.watermark, 0,
    )  # fmt: skip


def compressed_payload(warm: bytes, more: int = 0, tail: int = 0, crc: int = 0) -> bytes:
    """CompressionDone of an object, or with facts that are wrong by so much."""
    tail_bytes = len(warm) - decode_seek_table(memoryview(warm))[-1].offset
    return struct.pack("<QIQIBII", len(warm) + more, tail_bytes + tail, crc64(warm) ^ crc, 0, 0, 0, 0)


@pytest.fixture
def root(segment: tuple[bytes, Footer], tmp_path: Path) -> Path:
    """A log with one sealed segment, hot and warm, and its manifest."""
    data, footer = segment
    log = tmp_path / "root" / "logs" / LOG
    for folder in ("segments", "warm", "manifest"):
        (log / folder).mkdir(parents=True)
    (tmp_path / "root" / "engine.json").write_text("{}")
    (log / "log.json").write_text(json.dumps({"log_id": f"{LOG_ID:016x}"}))
    (log / "segments" / f"{SEGMENT:020}_{BASE:020}_{footer.first_ts:020}.seg").write_bytes(data)
    warm = object_of(data, [footer.index_offset])
    (log / "warm" / f"{SEGMENT:020}_{BASE:020}_{3000:020}.zst").write_bytes(warm)
    chunk = ChunkWriter(LOG_ID)
    chunk.append(19, struct.pack("<Q", BASE))
    chunk.append(0, struct.pack("<QQQ", BASE, footer.epoch, footer.salt), SEGMENT)
    chunk.append(1, sealed_payload(footer), SEGMENT, footer.index_offset)
    chunk.append(3, compressed_payload(warm), SEGMENT)
    chunk.append(2000, b"behind it, so that all before was durable")
    (log / "manifest" / f"{1:020}.mlog").write_bytes(chunk.file())
    return tmp_path / "root"


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 64
    path.write_bytes(data)


def only(log: LogView, tier: str) -> Path:
    return next(copy.path for copy in log.copies[SEGMENT] if copy.tier == tier)


def read(log: LogView) -> tuple[list[int], list[tuple[int, int]]]:
    items = list(log.read())
    seqs = [item.seq for item in items if isinstance(item, Record)]
    return seqs, [(item.first_seq, item.last_seq) for item in items if isinstance(item, Damage)]


ALL = list(range(BASE, LAST + 1))


def test_a_sound_root_has_no_findings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (report,) = check_root(open_root(root))
    assert report.ok, report
    assert (report.records, report.first_seq, report.last_seq, sum(report.copies.values())) == (7, BASE, LAST, 2)
    assert report.manifest_records == 5
    assert command.main(["check", str(root)]) == command.SUCCESS
    assert capsys.readouterr().out == (
        "N: ok: 7 records (1001 to 1007) in 1 segments; files: 1 hot, 1 warm, 0 cold; 5 manifest records\n"
    )


def test_what_is_damaged_in_one_tier_is_read_from_another(root: Path) -> None:
    log = open_root(root).log(LOG)
    flip(only(log, "hot"), 300)
    assert read(log) == (ALL, [])
    (report,) = check_root(open_root(root))
    assert not report.ok and not report.lost
    assert command.main(["check", str(root)]) == command.DAMAGE


def test_damage_in_every_tier_names_its_sequences(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = open_root(root).log(LOG)
    flip(only(log, "hot"), 300)
    only(log, "warm").unlink()
    seqs, lost = read(open_root(root).log(LOG))
    assert lost == [(seq, seq) for seq in ALL if seq not in seqs] and len(lost) == 1
    assert command.main(["read", str(root), LOG]) == command.DAMAGE
    assert f"sequences {lost[0][0]} to {lost[0][1]} are damaged" in capsys.readouterr().err


def test_a_warm_object_alone_is_enough(root: Path) -> None:
    log = open_root(root).log(LOG)
    only(log, "hot").unlink()
    assert read(open_root(root).log(LOG)) == (ALL, [])
    (report,) = check_root(open_root(root))
    assert [finding.text for finding in report.findings] == ["no hot copy, the manifest says hot+warm"]


def test_a_bad_header_is_made_up_for_by_the_manifest_or_the_footer(root: Path) -> None:
    log = open_root(root).log(LOG)
    only(log, "warm").unlink()
    flip(only(log, "hot"), 58)
    flip(only(log, "hot"), 1999)  # the footer too
    assert read(open_root(root).log(LOG)) == (ALL, [])
    flip(only(log, "hot"), 1999)
    shutil.rmtree(log.path / "manifest")
    assert read(open_root(root).log(LOG)) == (ALL, [])


@pytest.mark.parametrize(
    ("kind", "payload", "logical", "said"),
    [
        (0, struct.pack("<QQQ", BASE, 3, 5), 0, "is not part of the log: its salt is not the one that the manifest has"),
        (0, struct.pack("<QQQ", BASE - 1, 3, 0x1122334455667788), 0, f"the manifest has segment 7 with base sequence {BASE - 1}"),
        (1, None, 8, "index offset in the footer is"),
    ],
)
def test_a_manifest_that_says_otherwise_is_found(
    root: Path, segment: tuple[bytes, Footer], kind: int, payload: bytes, logical: int, said: str
) -> None:
    footer = segment[1]
    chunk = ChunkWriter(LOG_ID)
    chunk.append(19, struct.pack("<Q", BASE))
    opened = payload if kind == 0 else struct.pack("<QQQ", BASE, footer.epoch, footer.salt)
    chunk.append(0, opened, SEGMENT)
    chunk.append(1, sealed_payload(footer), SEGMENT, logical if kind == 1 else footer.index_offset)
    chunk.append(2000, b"")
    (root / "logs" / LOG / "manifest" / f"{1:020}.mlog").write_bytes(chunk.file())
    (report,) = check_root(open_root(root))
    assert any(said in finding.text for finding in report.findings), report.findings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [((1, 0, 0), "object bytes is"), ((0, 1, 0), "tail bytes is"), ((0, 0, 1), "crc64 of the file is")],
)
def test_an_object_that_is_not_the_recorded_one_is_found(
    root: Path, segment: tuple[bytes, Footer], wrong: tuple[int, int, int], said: str
) -> None:
    footer = segment[1]
    chunk = ChunkWriter(LOG_ID)
    chunk.append(19, struct.pack("<Q", BASE))
    chunk.append(0, struct.pack("<QQQ", BASE, footer.epoch, footer.salt), SEGMENT)
    chunk.append(1, sealed_payload(footer), SEGMENT, footer.index_offset)
    chunk.append(3, compressed_payload(only(open_root(root).log(LOG), "warm").read_bytes(), *wrong), SEGMENT)
    chunk.append(2000, b"")
    (root / "logs" / LOG / "manifest" / f"{1:020}.mlog").write_bytes(chunk.file())
    (report,) = check_root(open_root(root))
    assert [said in finding.text for finding in report.findings] == [True], report.findings


@pytest.mark.parametrize("mark", ["", "+"])
def test_a_bucket_directory_is_read_like_a_root(root: Path, tmp_path: Path, mark: str) -> None:
    """Folders have the mark of a file:// bucket, or none as in a copy of another
    store. The newest generation is damaged: the one before it counts."""
    log = open_root(root).log(LOG)
    folder = tmp_path / "bucket" / f"{LOG}.{LOG_ID:016x}{mark}" / f"segments{mark}"
    folder.mkdir(parents=True)
    shutil.copy(log.path / "log.json", folder.parent)
    name = f"{SEGMENT:020}_{BASE}-{LAST}_g"
    shutil.copy(only(log, "warm"), folder / f"{name}1.zst")
    shutil.copy(only(log, "warm"), folder / f"{name}2.zst")
    flip(folder / f"{name}2.zst", 40)
    assert read(open_root(tmp_path / "bucket").log(LOG)) == (ALL, [])
    assert read(open_root(f"file://{tmp_path}/bucket").log(LOG)) == (ALL, [])
    assert command.main(["check", str(tmp_path / "bucket")]) == command.DAMAGE
    for copy in log.copies[SEGMENT]:
        copy.path.unlink()
    assert read(open_root(root).log(LOG)) == ([], [(BASE, LAST)])
    assert read(open_root(root, str(tmp_path / "bucket")).log(LOG)) == ([], [(BASE, LAST)]), "the manifest names none"
    shutil.rmtree(log.path / "manifest")
    assert read(open_root(root, str(tmp_path / "bucket")).log(LOG)) == (ALL, [])


@pytest.mark.parametrize("lost", range(6))
def test_behind_damage_a_cause_may_be_missing(root: Path, segment: tuple[bytes, Footer], lost: int) -> None:
    """One record of a segment that is only cold is damaged. What follows counts as
    fitting, and the object is found in any case."""
    footer, log = segment[1], open_root(root).log(LOG)
    warm = only(log, "warm").read_bytes()
    place, key = struct.pack("<IQQII", 0, 0, 0, 0, 0), f"segments/{SEGMENT:020}_{BASE}-{LAST}_g0.zst"
    tail_bytes = len(warm) - decode_seek_table(memoryview(warm))[-1].offset
    chunk = ChunkWriter(LOG_ID)
    starts = []
    for kind, payload, logical in (
        (0, struct.pack("<QQQ", BASE, footer.epoch, footer.salt), 0),
        (1, sealed_payload(footer), footer.index_offset),
        (5, place + text(key) + struct.pack("<I", 0), 0),
        (6, place + text(key) + text("e") + struct.pack("<QI", len(warm), tail_bytes), 0),
        (13, struct.pack("<BQ", 0, 1), 0),
        (2000, b"", 0),
    ):
        starts.append(len(chunk.records))
        chunk.append(kind, payload, SEGMENT if kind < 2000 else 0, logical)
    for _ in range(2):
        chunk.append(2000, b"behind it, so that all before was durable")
    chunk_path = root / "logs" / LOG / "manifest" / f"{1:020}.mlog"
    chunk_path.write_bytes(chunk.file())
    flip(chunk_path, 128 + starts[lost] + 58)
    bucket = root.parent / "bucket"
    path = bucket / f"{LOG}.{LOG_ID:016x}+" / "segments+" / key.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    path.write_bytes(warm)
    (path.parent.parent / "log.json").write_bytes((log.path / "log.json").read_bytes())
    for copy in log.copies[SEGMENT]:
        copy.path.unlink()
    damaged = open_root(root, str(bucket)).log(LOG)
    assert damaged.manifest.state.misfits == [] and len(damaged.manifest.findings) == 1
    assert read(damaged) == (ALL, [])
    resident = {3: 0, 4: 5}.get(lost, 4)  # without UploadDone in no tier, without LocalEvicted hot as well
    assert damaged.manifest.state.segments[SEGMENT]["resident tiers"] == resident


def test_replay_follows_a_segment_through_its_tiers(segment: tuple[bytes, Footer], tmp_path: Path) -> None:
    footer = segment[1]
    place = struct.pack("<IQQII", 0, 0, 0, 0, 0)
    chunk = ChunkWriter(LOG_ID)
    chunk.append(0, struct.pack("<QQQ", BASE, 3, 4), SEGMENT)
    chunk.append(2, struct.pack("<Q", 1), SEGMENT)  # too early: it is not sealed
    chunk.append(1, sealed_payload(footer), SEGMENT, footer.index_offset)
    chunk.append(5, place + text("k") + struct.pack("<I", 1), SEGMENT)
    chunk.append(6, place + text("k") + text("e") + struct.pack("<QI", 5, 3), SEGMENT)
    chunk.append(13, struct.pack("<BQ", 0, 10), SEGMENT)
    (tmp_path / f"{1:020}.mlog").write_bytes(chunk.file(sealed=True))
    second = ChunkWriter(LOG_ID, 2, chunk.ordinal, 0)
    second.append(8, place + text("k") + struct.pack("<q", 9), SEGMENT)  # the last good copy
    second.append(19, struct.pack("<Q", LAST + 1))
    second.append(8, place + text("k") + struct.pack("<q", 9), SEGMENT)
    second.append(9, place + text("k"), SEGMENT)
    second.append(2000, b"")
    (tmp_path / f"{2:020}.mlog").write_bytes(second.file())
    from aof_nats.harness.manifest_open import read_manifest, replay_all

    found = read_manifest(tmp_path)
    assert [text for text in found.findings if "chain" in text], "the second chunk does not carry the checksum"
    assert [text for text in found.findings if "not sealed" in text]
    uploaded = replay_all(found, 7).segments[SEGMENT]
    assert uploaded.num("resident tiers") == 4 and uploaded.text("cold key") == "k"
    assert [text for text in found.findings if "last good copy" in text]
    assert replay_all(found, 8).deletes == {}
    queued = replay_all(found, 10)
    assert queued.segments[SEGMENT]["cold delete queued"] and list(queued.deletes) == ["k"]
    gone = replay_all(found)
    assert gone.segments == {} and gone.deletes == {} and gone.uploads == {}


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("engine/internal/segment/testdata/segment_filters.seg", {"records", "frames", "filters", "footer"}),
        ("manifest/testdata/00000000000000000001.mlog", {"chunk header", "records"}),
        ("manifest/testdata/snapshot_00000000000000000002.bin", {"log state", "segments", "uploads", "deletes"}),
    ],
)
def test_inspect_prints_tables_and_json(
    tree: Path, capsys: pytest.CaptureFixture[str], name: str, titles: set[str]
) -> None:
    assert command.main(["inspect", str(tree / name), "--json"]) == command.SUCCESS
    assert titles <= set(json.loads(capsys.readouterr().out))
    assert command.main(["inspect", str(tree / name)]) == command.SUCCESS
    assert titles <= set(capsys.readouterr().out.splitlines())


def test_inspect_of_an_object_and_of_a_root(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warm = only(open_root(root).log(LOG), "warm")
    assert command.main(["inspect", str(warm), "--json"]) == command.SUCCESS
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["zstd frames"]) == 2 and len(shown["records"]) >= 7
    assert command.main(["inspect", str(root), "--json"]) == command.SUCCESS
    rows = json.loads(capsys.readouterr().out)["segments"]
    assert [(row["tier"], row["records"], row["state"]) for row in rows] == [
        ("hot", 7, "sealed"),
        ("warm", 7, "sealed"),
    ]


def test_exit_codes_of_the_module(root: Path, tree: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = {"PYTHONPATH": str(tree / "python" / "src")}
        command_line = [sys.executable, "-m", "aof_nats", *arguments]
        return subprocess.run(command_line, env=path, capture_output=True, text=True, timeout=60, check=False)

    assert run("read", str(root), LOG).stdout.count("\n") == 7
    assert run("read", str(root), "OTHER").returncode == command.NOT_FOUND
    assert run("check", str(root / "nowhere")).returncode == command.NOT_FOUND
    assert run("inspect", str(root / "engine.json")).returncode == command.DAMAGE
    assert run("frobnicate").returncode == command.USAGE
    assert run("check", str(root), "--json").returncode == command.SUCCESS
