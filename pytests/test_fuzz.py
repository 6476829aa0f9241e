"""Random damage to any file of a root or its bucket: the reader and fsck judge
alike whether something is damaged, and which sequences are lost."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from aof_nats.harness import command
from aof_nats.harness.check import check_root
from aof_nats.harness.errors import VersionError
from aof_nats.harness.root import open_root
from program import Program
from roots import ranges

CASES = int(os.environ.get("AOF_FUZZ_CASES", "24"))
FIRST_SEED = int(os.environ.get("AOF_FIRST_SEED", "1"))

# What nobody reads: room for a full disk, the lock, and the next segment or chunk.
UNREAD = ("LOCK", "reserve", "next.tmp", "next.mlog.tmp")


class Place(NamedTuple):
    """A root and its bucket, and copies of both to put back."""

    work: Path
    kept: Path

    @property
    def root(self) -> Path:
        return self.work / "root"

    def reset(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.kept, self.work)

    def files(self) -> list[Path]:
        return sorted(path for path in self.work.rglob("*") if path.is_file())


class Verdict(NamedTuple):
    """The exit code, and what no copy holds."""

    code: int
    lost: list[tuple[int, int]]


@pytest.fixture(scope="module")
def place(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Place:
    base = tmp_path_factory.mktemp("fuzz")
    made = Place(base / "work", base / "kept")
    result = program.run("demo", "--root", str(made.root), "--bucket", f"file://{made.work / 'bucket'}", "--json")
    assert result.returncode == 0, result.stderr
    for path in made.files():
        if path.name in UNREAD:
            path.unlink()
    made.work.rename(made.kept)
    made.reset()
    return made


def by_reader(place: Place) -> Verdict:
    try:
        root = open_root(place.root)
        reports = check_root(root)
    except VersionError:
        return Verdict(command.IO, [])
    lost = [(f.first_seq or 0, f.last_seq or 0) for report in reports for f in report.lost]
    code = command.SUCCESS
    if any(report.unchecked for report in reports):
        code = command.IO
    if root.findings or any(report.damaged for report in reports):
        code = command.DAMAGE
    return Verdict(code, ranges(lost))


def by_fsck(program: Program, place: Place) -> Verdict:
    result = program.run("fsck", str(place.root), "--deep", "--json")
    if not result.stdout:
        return Verdict(result.returncode, [])
    found = [f for log in json.loads(result.stdout)["logs"] for f in log["damage"]]
    return Verdict(result.returncode, ranges([(f["first_seq"], f["last_seq"]) for f in found if f["cost"] == "lost"]))


def kind_of(path: Path) -> str:
    """The class of a file: each is damaged as often as any other."""
    if path.suffix == ".json" or path.parent.name == "epochs+":
        return path.parent.name[:1] + path.name if path.suffix == ".json" else "claim"
    return f"{path.parent.name}{path.suffix}"


def damage(rng: random.Random, files: list[Path], number: int) -> str:
    """Flips, cuts, zeroes or copies a file, of each class in turn. Returns what was
    done, in words."""
    kinds: dict[str, list[Path]] = {}
    for path in files:
        kinds.setdefault(kind_of(path), []).append(path)
    path = rng.choice(kinds[sorted(kinds)[number % len(kinds)]])
    data = bytearray(path.read_bytes())
    how = rng.choice(["flip", "flip", "flip at the end", "flip behind the end", "zero a sector", "truncate", "duplicate"])
    used = max(1, len(bytes(data).rstrip(b"\0")))
    at = rng.randrange(used)
    if how == "duplicate":
        twin = twin_of(rng, path)
        if twin is not None and not twin.exists():
            shutil.copy(path, twin)
            return f"{path}: copied to {twin.name}"
        how = "flip"
    if how == "flip at the end":
        at = max(0, used - rng.randrange(1, 600))
    if how == "flip behind the end" and used < len(data):
        at = rng.randrange(used, len(data))
    if how == "truncate":
        del data[at:]
    elif how == "zero a sector":
        at -= at % 512
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    else:
        data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"{path}: {how} at {at} of {len(data)}"


def twin_of(rng: random.Random, path: Path) -> Path | None:
    """Another valid name of the same class."""
    match = re.match(r"(snapshot_)?([0-9]{20})(.*)$", path.name)
    if match is None:
        return None
    number = int(match[2]) + rng.choice([1, 2, 5, 100])
    if match[3].startswith("_") and rng.random() < 0.3:  # of the same segment
        head, _, last = match[3].rpartition("_")
        digits = re.match(r"[0-9]{20}", last)
        if digits:
            return path.with_name(f"{match[2]}{head}_{int(digits[0]) + 1:020}{last[20:]}")
    return path.with_name(f"{match[1] or ''}{number:020}{match[3]}")


def test_both_judge_any_damage_alike(program: Program, place: Place) -> None:
    assert by_reader(place) == by_fsck(program, place) == Verdict(command.SUCCESS, [])
    differ, damaged = [], 0
    for seed in range(FIRST_SEED, FIRST_SEED + CASES):
        rng = random.Random(seed)
        place.reset()
        done = damage(rng, place.files(), seed)
        ours, theirs = by_reader(place), by_fsck(program, place)
        damaged += theirs.code == command.DAMAGE
        if ours != theirs:
            differ.append(f"seed {seed}: {done}: reader {ours}, fsck {theirs}")
    assert not differ, "\n".join(differ)
    assert CASES < 20 or damaged > CASES // 3
