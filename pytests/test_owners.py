"""A bucket with objects of two owners, one of which had been overtaken: both
implementations read the log of the other, and say what is not part of it."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aof_nats.harness import command
from aof_nats.harness.bucket import LogFolder, open_bucket
from aof_nats.harness.copies import Copy
from aof_nats.harness.ranking import Span, rank
from program import Program
from roots import LOG, copy_root, lines, wait_until

Capture = pytest.CaptureFixture[bytes]
SERVE = ("--log", f"{LOG}=events.>")


class Owners(NamedTuple):
    """The buckets of a root and of a copy of it, as if each had one of its own."""

    overtaken: Path
    owner: Path


def objects(bucket: Path) -> list[Path]:
    return sorted(bucket.glob(f"{LOG}.*+/segments+/*.zst")) if bucket.is_dir() else []


def append(program: Program, root: Path, rng: random.Random, *counts: int) -> None:
    """Publishes so many events to each of several owners of a root, without a bucket."""
    for count in counts:
        with program.serve(root, *SERVE) as server:
            program.publish(server, "events.{kind}", lines(rng, count, 80))
            server.stop(signal.SIGTERM)


def upload(program: Program, root: Path, bucket: Path, rng: random.Random, count: int) -> None:
    """Uploads what a root has, and then so many events in a segment of their own."""
    options = (*SERVE, "--bucket", f"file://{bucket}", "--segment-age", "1s")
    with program.serve(root, *options) as server:
        wait_until(lambda: len(objects(bucket)) == 1, "segment 1 is uploaded")
        program.publish(server, "events.{kind}", lines(rng, count, 80))
        wait_until(lambda: len(objects(bucket)) == 2, "segment 2 is uploaded")
        server.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def owners(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Owners:
    """Segment 1 has the same sequences in both, segment 2 ends elsewhere."""
    place, rng = tmp_path_factory.mktemp("owners"), random.Random(7)
    root, made = place / "root", Owners(place / "bucket of the overtaken", place / "bucket")
    append(program, root, rng, 60)
    overtaken = copy_root(root, place / "overtaken")
    append(program, overtaken, rng, 40)
    append(program, root, rng, 20, 20)  # one epoch more
    upload(program, overtaken, made.overtaken, rng, 30)
    upload(program, root, made.owner, rng, 50)
    names = [[path.name for path in objects(bucket)] for bucket in made]
    assert names[0][0] == names[1][0] and names[0][1] != names[1][1], names
    return made


def theirs(program: Program, bucket: Path) -> bytes:
    called = [str(program.path), "read", LOG, "--root", f"file://{bucket}", "--format", "ndjson"]
    return subprocess.run(called, capture_output=True, timeout=60, check=True).stdout


def ours(capture: Capture, *arguments: str) -> tuple[int, bytes]:
    capture.readouterr()
    return command.main(list(arguments)), capture.readouterr().out


def superseded(notes: list[str]) -> list[str]:
    return sorted(note for note in notes if "it is not part of the log" in note)


@pytest.mark.parametrize(("late", "own"), [(0, 1), (3, 0)])
def test_the_higher_epoch_is_the_log(
    program: Program, owners: Owners, tmp_path: Path, capfdbinary: Capture, late: int, own: int
) -> None:
    """The overtaken owner has taken the key that the other would have used, or one of
    a later generation."""
    expected = theirs(program, owners.owner)
    assert expected.count(b"\n") == 150 and not theirs(program, owners.overtaken).startswith(expected)
    bucket = tmp_path / "bucket"
    shutil.copytree(owners.owner, bucket)
    for path in objects(bucket):
        path.rename(path.with_name(path.name.replace("_g0.", f"_g{own}.")))
    for path in objects(owners.overtaken):
        shutil.copy(path, objects(bucket)[0].with_name(path.name.replace("_g0.", f"_g{late}.")))
    assert len(objects(bucket)) == 4
    assert theirs(program, bucket) == expected
    assert ours(capfdbinary, "read", str(bucket), LOG, "--format", "ndjson") == (command.SUCCESS, expected)
    code, shown = ours(capfdbinary, "check", str(bucket), "--json")
    (log,) = json.loads(shown)["logs"]
    fsck: dict[str, Any] = json.loads(program.run("fsck", f"file://{bucket}", "--json", "--deep").stdout)["logs"][0]
    said = [f"{note['file'].partition('/')[2]}: {note['reason']}" for note in fsck["notes"]]
    assert (code, log["records"], fsck["records"], len(superseded(said))) == (command.SUCCESS, 150, 150, 2)
    assert superseded(log["notes"]) == superseded(said)


def test_a_root_reads_what_its_manifest_counts_on(
    program: Program, owners: Owners, tmp_path: Path, capfdbinary: Capture
) -> None:
    """A later generation of a higher epoch changes nothing there."""
    place = owners.overtaken.parent
    root, bucket = copy_root(place / "overtaken", tmp_path / "root"), tmp_path / "bucket"
    shutil.copytree(owners.overtaken, bucket)
    for path in (root / "logs" / LOG).glob("*/*.seg"):
        path.unlink()
    for path in (root / "logs" / LOG).glob("warm/*.zst"):
        path.unlink()
    for path in objects(owners.owner):
        shutil.copy(path, objects(bucket)[0].with_name(path.name.replace("_g0.", "_g1.")))
    code, said = ours(capfdbinary, "read", str(root), LOG, "--bucket", str(bucket), "--format", "ndjson")
    assert (code, said) == (command.SUCCESS, theirs(program, owners.overtaken))


def test_generations_of_one_segment_are_copies(
    program: Program, owners: Owners, tmp_path: Path, capfdbinary: Capture
) -> None:
    """An older one helps where the newest does not open; nothing is superseded."""
    expected = theirs(program, owners.owner)
    bucket = tmp_path / "bucket"
    shutil.copytree(owners.owner, bucket)
    for path in objects(bucket):
        newer = path.with_name(path.name.replace("_g0.", "_g1."))
        newer.write_bytes(path.read_bytes()[:-1])
    assert theirs(program, bucket) == expected
    assert ours(capfdbinary, "read", str(bucket), LOG, "--format", "ndjson") == (command.SUCCESS, expected)
    (folder,) = open_bucket(str(bucket)).folders()
    ranked, notes = rank(copies_of(folder), set(), folder.log_id)
    assert ([copy.generation for copy in ranked], notes) == ([0, 1, 0, 1], [])


def copies_of(folder: LogFolder) -> list[Copy]:
    made = []
    for key, path in folder.objects().items():
        if key.startswith("segments/"):
            number, span, generation = key[len("segments/") : -len(".zst")].split("_")
            first, last = map(int, span.split("-"))
            made.append(Copy(path, "cold", int(number), first, int(generation[1:]), key, last))
    return made


@pytest.mark.parametrize(
    ("one", "other", "disputed"),
    [
        (Span(1, 1, 30), Span(2, 31, 60), False),
        (Span(1, 1, 30), Span(2, 41, 60), False),
        (Span(1, 31, 30), Span(2, 31, 60), False),
        (Span(2, 31, 30), Span(3, 31, 30), False),
        (Span(1, 1, 30), Span(2, 30, 60), True),
        (Span(2, 1, 30), Span(1, 31, 60), True),
        (Span(2, 31, 60), Span(2, 31, 50), True),
        (Span(2, 31, 60), Span(2, 61, 70), True),
    ],
)
def test_what_disputes_what(one: Span, other: Span, disputed: bool) -> None:
    assert one.disputes(other) is disputed and other.disputes(one) is disputed
