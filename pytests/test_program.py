"""Roots that the real program wrote: both implementations read the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from aof_nats.harness import command
from aof_nats.harness.root import open_root
from aof_nats.harness.segment import Record
from encoder import Writer
from histories import crash, damage, history
from program import Program
from roots import (
    LOG,
    continue_root,
    copy_root,
    lines,
    make_root,
    ranges,
    records_in,
    segments,
    verdict_of_fsck,
    verdict_of_reader,
    wait_until,
)

DAMAGES = int(os.environ.get("AOF_DAMAGES", "100"))
HISTORIES = int(os.environ.get("AOF_HISTORIES", "30"))
FIRST_SEED = int(os.environ.get("AOF_FIRST_SEED", "1"))
LENGTH = 1 << 17
"""Of the file of a history."""


@pytest.fixture(scope="session")
def killed(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One unfinished segment, as SIGKILL leaves it."""
    return make_root(program, tmp_path_factory.mktemp("roots") / "killed", signal.SIGKILL)


@pytest.fixture(scope="session")
def closed(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One segment with a close mark."""
    return make_root(program, tmp_path_factory.mktemp("roots") / "closed", signal.SIGTERM)


@pytest.fixture(scope="session")
def sealed(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several sealed segments and an unfinished one."""
    options = ("--segment-age", "300ms", "--segment-bytes", "1MiB")
    return make_root(program, tmp_path_factory.mktemp("roots") / "sealed", signal.SIGKILL, *options)


@pytest.fixture(scope="session")
def continued(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sealed segments that a later owner had continued."""
    root = continue_root(program, tmp_path_factory.mktemp("roots") / "continued", "--segment-bytes", "256KiB")
    footers = [verdict.file.footer for s in open_root(root).log(LOG).segment_ids() for verdict in _verdicts(root, s)]
    headers = [verdict.file.header for s in open_root(root).log(LOG).segment_ids() for verdict in _verdicts(root, s)]
    assert any(footer and footer.epoch > header.epoch for footer, header in zip(footers, headers))
    return root


def same_lines(program: Program, root: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> int:
    """Compares what both print of a log, and returns how many lines it was."""
    theirs = subprocess.run(
        [program.path, "read", LOG, "--root", root, "--format", "ndjson"], capture_output=True, timeout=60, check=True
    ).stdout
    capfdbinary.readouterr()
    assert command.main(["read", str(root), LOG]) == command.SUCCESS
    ours = capfdbinary.readouterr().out
    for mine, other in zip(ours.splitlines(), theirs.splitlines()):
        assert mine == other
    assert ours == theirs
    return ours.count(b"\n")


def test_killed_in_the_middle_of_publishing(
    program: Program, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Several segments; SIGKILL while a publisher waits for acks; then recovery,
    more records, a clean close. After each step both read the same lines."""
    root = tmp_path / "root"
    rng = random.Random(1)
    options = ["--log", f"{LOG}=events.>", "--segment-bytes", "1MiB"]
    with program.serve(root, *options) as server:
        program.publish(server, "events.{kind}", lines(rng, 900, 2000))
        publisher = subprocess.Popen(
            [program.path, "pub", "events.{kind}", "--ndjson", "-s", server.url],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert publisher.stdin is not None
        publisher.stdin.writelines(lines(rng, 300, 2000))
        publisher.stdin.flush()
        wait_until(lambda: records_in(root) > 1000, "records of the second publisher are durable")
        server.stop(signal.SIGKILL)
        publisher.kill()
        publisher.wait(60)
        publisher.stdin.close()
    assert len(segments(root)) > 1
    killed_at = same_lines(program, root, capfdbinary)
    assert killed_at > 1000
    with program.serve(root, *options) as server:
        program.publish(server, "events.again", ["x\n", "\n", "zwei\n"])
        server.stop(signal.SIGTERM)
    assert same_lines(program, root, capfdbinary) >= killed_at + 2
    assert command.main(["check", str(root)]) == command.SUCCESS


def test_every_kind_of_root_reads_the_same(
    program: Program,
    killed: Path,
    closed: Path,
    sealed: Path,
    continued: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    for root in (killed, closed, sealed, continued):
        assert same_lines(program, root, capfdbinary) > 0
        assert command.main(["check", str(root)]) == command.SUCCESS
    files = [verdict.file for s in open_root(closed).log(LOG).segment_ids() for verdict in _verdicts(closed, s)]
    assert [file is not None and file.scan.closed for file in files] == [True]


def _verdicts(root: Path, segment_id: int) -> list:  # type: ignore[type-arg]
    return list(open_root(root).log(LOG).verdicts(segment_id))


def test_damage_costs_both_the_same_sequences(
    program: Program, killed: Path, closed: Path, sealed: Path, continued: Path, tmp_path: Path
) -> None:
    """Random damage to copies of roots, judged with the manifest or, where that is
    taken away, by the segments' own bytes. The header of a file that is not sealed
    is spared: without a manifest nothing else knows its salt, so a reader that
    believes only what was durable finds nothing to judge."""
    found = 0
    for seed in range(FIRST_SEED, FIRST_SEED + DAMAGES):
        rng = random.Random(seed)
        source = rng.choice([killed, closed, sealed, sealed, continued])
        root = copy_root(source, tmp_path / "copy")
        done = []
        if rng.random() < 0.5:
            shutil.rmtree(root / "logs" / LOG / "manifest", ignore_errors=True)
            done.append("no manifest")
        files = segments(root)
        for _ in range(rng.choice([1, 1, 2, 3])):
            path = rng.choice(files)
            data = bytearray(path.read_bytes())
            done.append(f"{path.name[15:20]}: {_damage(rng, data, path is files[-1])}")
            path.write_bytes(data)
        ours, theirs = verdict_of_reader(root), verdict_of_fsck(program, root)
        assert ours == theirs, f"seed {seed}, {done}"
        found += bool(ours[1])
    assert found > DAMAGES // 4


def _damage(rng: random.Random, data: bytearray, unsealed: bool) -> str:
    before = bytes(data[:128])
    done = damage(rng, data)
    if unsealed and bytes(data[:128]) != before:
        data[: len(before)] = before
    return done


def test_a_segment_that_lost_its_header_costs_both_the_same(
    program: Program, killed: Path, closed: Path, tmp_path: Path
) -> None:
    """The manifest knows that the header was there: with no record behind it, zeros
    are damage too. Recovery keeps what reader and fsck said before."""
    for source in (killed, closed):
        whole = segments(source)[-1].read_bytes()
        for data in (bytes(len(whole)), bytes(len(whole) // 2 + 3), b"A" * 5001, whole[:100]):
            root = copy_root(source, tmp_path / "copy")
            segments(root)[-1].write_bytes(data)
            before = verdict_of_reader(root)
            assert before[1] and before == verdict_of_fsck(program, root)
            with program.serve(root, "--log", f"{LOG}=events.>") as server:
                server.stop(signal.SIGTERM)
            assert verdict_of_reader(root) == verdict_of_fsck(program, root)
            assert verdict_of_reader(root) == before


def test_recovery_keeps_what_the_page_says(program: Program, killed: Path, tmp_path: Path) -> None:
    """Random histories with unsynced tails, lost sectors, atomic batches and
    damage. The program recovers each as a writer, cuts and seals; the reader has
    said before what has to be left."""
    options = json.loads((killed / "logs" / LOG / "log.json").read_text("utf-8"))
    torn = batches = damaged = shorter = 0
    for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES):
        rng = random.Random(seed)
        root = copy_root(killed, tmp_path / "copy")
        for path in segments(root):
            path.unlink()
        shutil.rmtree(root / "logs" / LOG / "manifest", ignore_errors=True)  # of the segment that was there
        writer = Writer(int(options["log_id"], 16), 1, 1, rng.getrandbits(64), rng.choice([0, LENGTH, LENGTH]))
        history(rng, writer)
        data = crash(rng, writer, LENGTH)
        before = bytes(data[:128])
        done = [damage(rng, data, 128) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
        data[: len(before)] = before
        name = f"{1:020}_{1:020}_{1:020}.seg"
        (root / "logs" / LOG / "segments" / name).write_bytes(data)
        verdict = _verdicts(root, 1)[0].file
        assert verdict is not None
        scan = verdict.scan
        expected = ([r.seq for r in scan.records], ranges([(b.first_seq, b.last_seq) for b in scan.damage if b.count]))
        with program.serve(root, "--log", f"{LOG}=events.>") as server:
            server.stop(signal.SIGTERM)
        kept = [item.seq for item in open_root(root).log(LOG).read() if isinstance(item, Record)]
        _, lost, last = verdict_of_fsck(program, root)
        assert (kept, lost, last) == (*expected, scan.next_seq - 1), f"seed {seed}, {done}"
        torn, batches = torn + bool(scan.torn), batches + bool(scan.batch_cut)
        damaged += bool(scan.damage)
        shorter += scan.short
    assert HISTORIES < 30 or min(torn, batches, damaged, shorter) > 0
