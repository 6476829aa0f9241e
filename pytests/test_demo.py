"""The root and the bucket that the demo of the program leaves behind: both
implementations read the same, and find the same damage."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest
from aof_nats.harness import command
from aof_nats.harness.root import open_root
from program import Program

LOG = "QUAKES"
EVENTS = 1707


class Demo(NamedTuple):
    """What the demo left behind."""

    root: Path
    bucket: Path
    report: dict[str, Any]


@pytest.fixture(scope="module")
def demo(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    root, bucket = tmp_path_factory.mktemp("demo") / "root", tmp_path_factory.mktemp("demo") / "bucket"
    result = program.run("demo", "--root", str(root), "--bucket", f"file://{bucket}", "--json")
    assert result.returncode == 0, result.stderr
    return Demo(root, bucket, json.loads(result.stdout))


Capture = pytest.CaptureFixture[bytes]


def ours(capture: Capture, *arguments: str) -> tuple[int, bytes]:
    capture.readouterr()
    return command.main(list(arguments)), capture.readouterr().out


def check(capture: Capture, place: Path, *options: str) -> tuple[int, dict[str, Any]]:
    code, shown = ours(capture, "check", str(place), "--json", *options)
    return code, json.loads(shown)


def theirs(program: Program, place: str) -> bytes:
    """What the program prints of the log."""
    called = [str(program.path), "read", LOG, "--root", place, "--format", "ndjson"]
    return subprocess.run(called, capture_output=True, timeout=60, check=True).stdout


def test_root_and_bucket_are_sound(demo: Demo, capfdbinary: Capture) -> None:
    code, shown = check(capfdbinary, demo.root)
    (log,) = shown["logs"]
    assert (code, shown["ok"], log["lost"], log["findings"], log["notes"]) == (command.SUCCESS, True, [], [], [])
    assert (log["records"], log["first_seq"], log["last_seq"]) == (EVENTS, 1, EVENTS)
    code, shown = check(capfdbinary, demo.bucket)
    (alone,) = shown["logs"]
    assert (code, shown["ok"], alone["notes"]) == (command.SUCCESS, True, [])
    assert (alone["copies"], alone["first_seq"]) == ({"hot": 0, "warm": 0, "cold": log["copies"]["cold"]}, 1)


def test_segments_are_in_every_tier(demo: Demo) -> None:
    """Each segment counts for the first tier that holds it."""
    log = open_root(demo.root).log(LOG)
    first = [log.copies[segment_id][0].tier for segment_id in log.segment_ids()]
    counts = {tier: first.count(tier) for tier in ("hot", "warm", "cold")}
    assert counts == demo.report["segments"] and min(counts.values()) > 0


def test_every_record_is_the_event_that_was_published(
    program: Program, demo: Demo, tree: Path, capfdbinary: Capture
) -> None:
    expected = theirs(program, str(demo.root))
    assert ours(capfdbinary, "read", str(demo.root), LOG, "--format", "ndjson") == (command.SUCCESS, expected)
    named = ("--bucket", str(demo.bucket), "--format", "ndjson")
    assert ours(capfdbinary, "read", str(demo.root), LOG, *named) == (command.SUCCESS, expected)
    events = (tree / "cmd/aof-nats/command/demodata/earthquakes.ndjson").read_text("utf-8").splitlines()
    assert [json.loads(line)["data"] for line in expected.splitlines()] == events and len(events) == EVENTS
    alone = theirs(program, f"file://{demo.bucket}")
    assert expected.startswith(alone) and alone.count(b"\n") > EVENTS // 2
    assert ours(capfdbinary, "read", str(demo.bucket), LOG, "--format", "ndjson") == (command.SUCCESS, alone)


def test_without_the_bucket_nothing_is_called_lost(demo: Demo, tmp_path: Path, capfdbinary: Capture) -> None:
    nowhere = str(tmp_path / "nowhere")
    code, shown = check(capfdbinary, demo.root, "--bucket", nowhere)
    (log,) = shown["logs"]
    # A segment that a crash left without a record may be only cold before others are.
    nearest = [copies[0] for copies in open_root(demo.root).log(LOG).copies.values() if copies[0].tier == "cold"]
    last = max(copy.last_seq or 0 for copy in nearest if (copy.last_seq or 0) >= copy.base_seq)
    assert (code, shown["ok"], log["lost"], log["findings"]) == (command.IO, False, [], [])
    assert [(found["first_seq"], found["last_seq"]) for found in log["unchecked"]] == [(None, None), (1, last)]
    assert all(nowhere in found["text"] for found in log["unchecked"])
    code, said = ours(capfdbinary, "check", str(demo.root), "--bucket", nowhere)
    assert b"objects were not checked" in said and b"lost" not in said
    code, said = ours(capfdbinary, "read", str(demo.root), LOG, "--bucket", nowhere)
    assert (code, said.count(b"\n")) == (command.IO, EVENTS - (last or 0))


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 64
    path.write_bytes(data)


def _warm_file(root: Path, bucket: Path) -> Path:
    return sorted((root / "logs" / LOG / "warm").iterdir())[0]


def _cold_object(root: Path, bucket: Path) -> Path:
    return sorted(bucket.glob(f"{LOG}.*+/segments+/*.zst"))[0]


def _manifest_chunk(root: Path, bucket: Path) -> Path:
    return sorted((root / "logs" / LOG / "manifest").iterdir())[0]


@pytest.mark.parametrize(
    ("part", "choose"), [("warm", _warm_file), ("cold", _cold_object), ("manifest", _manifest_chunk)]
)
def test_a_flipped_byte_is_found_by_both(
    program: Program, demo: Demo, tmp_path: Path, capfdbinary: Capture, part: str, choose: Callable[[Path, Path], Path]
) -> None:
    root, bucket = tmp_path / "root", tmp_path / "bucket"
    shutil.copytree(demo.root, root, ignore=shutil.ignore_patterns("reserve", "next.tmp"))
    shutil.copytree(demo.bucket, bucket)
    engine = json.loads((root / "engine.json").read_text("utf-8"))
    (root / "engine.json").write_text(json.dumps({**engine, "bucket": f"file://{bucket}"}))
    assert program.run("fsck", str(root)).returncode == command.SUCCESS
    path = choose(root, bucket)
    _flip(path, path.stat().st_size // 3 if part != "manifest" else 1000)
    fsck = program.run("fsck", str(root), "--json")
    (log,) = json.loads(fsck.stdout)["logs"]
    assert fsck.returncode == command.DAMAGE
    assert [(found["part"], Path(found["file"]).name) for found in log["damage"]][:1] == [(part, path.name)]
    lost = [(f["first_seq"], f["last_seq"]) for f in log["damage"] if f["cost"] == "lost"]
    code, shown = check(capfdbinary, root)
    (log,) = shown["logs"]
    assert code == command.DAMAGE
    assert any(path.name in f"{found['path']} {found['text']}" for found in log["findings"])
    for found in log["lost"]:
        assert any(first <= found["first_seq"] <= found["last_seq"] <= last for first, last in lost)
    assert bool(log["lost"]) == bool(lost) == (part == "cold"), "only the object had the only copy"
