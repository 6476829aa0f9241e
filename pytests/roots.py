"""Roots that the real program made, and copies of them to damage."""

from __future__ import annotations

import json
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from aof_nats.harness.copies import Damage
from aof_nats.harness.root import open_root
from aof_nats.harness.segment import Record
from program import LIMIT, Program

LOG = "EVENTS"


def lines(rng: random.Random, count: int, longest: int) -> list[str]:
    """Events of one line each; their text is not ASCII alone."""
    made = []
    for number in range(count):
        text = "".join(rng.choice('abc defü€<&>\u2028\\"') for _ in range(rng.randrange(longest)))
        made.append(json.dumps({"n": number, "kind": f"k{rng.randrange(7)}", "text": text}, ensure_ascii=False) + "\n")
    return made


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Looks again and again, for LIMIT seconds at most."""
    due = time.monotonic() + LIMIT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < due, f"waited in vain until {what}"
        pause.wait(0.01)


def records_in(root: Path) -> int:
    """How many records a reader that takes no lock finds."""
    if not (root / "logs" / LOG / "log.json").exists():
        return 0
    return sum(isinstance(item, Record) for item in open_root(root).log(LOG).read())


def segments(root: Path) -> list[Path]:
    return sorted((root / "logs" / LOG / "segments").glob("*.seg"))


def last_is_sealed(root: Path) -> bool:
    log = open_root(root).log(LOG)
    verdicts = list(log.verdicts(log.segment_ids()[-1]))
    return all(verdict.file is not None and verdict.file.footer is not None for verdict in verdicts)


def make_root(program: Program, root: Path, how: signal.Signals, *options: str) -> Path:
    """A root with a few hundred records in several commits, ended by a signal."""
    rng = random.Random(root.name)
    with program.serve(root, "--log", f"{LOG}=events.>", *options) as server:
        for batch in range(4):
            program.publish(server, "events.{kind}", lines(rng, 60, 80))
            if "--segment-age" in options and batch < 3:
                wait_until(lambda: last_is_sealed(root), "the segment is sealed")
        server.stop(how)
    return root


def continue_root(program: Program, root: Path, *options: str) -> Path:
    """A root whose segments were each closed cleanly, continued by another owner
    and then, but for the last, sealed."""
    rng = random.Random(root.name)
    for _ in range(4):
        with program.serve(root, "--log", f"{LOG}=events.>", *options) as server:
            program.publish(server, "events.{kind}", lines(rng, 400, 800))
            server.stop(signal.SIGTERM)
    return root


def copy_root(source: Path, target: Path) -> Path:
    """A copy without what no reader looks at."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("reserve", "next.tmp"))
    return target


def ranges(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of sequences, those that touch joined."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def verdict_of_reader(root: Path) -> tuple[int, list[tuple[int, int]], int]:
    """Readable records, damaged sequences, the last sequence."""
    records, damaged, last = 0, [], 0
    for item in open_root(root).log(LOG).read():
        if isinstance(item, Damage):
            damaged.append((item.first_seq, item.last_seq))
            last = item.last_seq
        else:
            records, last = records + 1, item.seq
    return records, ranges(damaged), last


def verdict_of_fsck(program: Program, root: Path) -> tuple[int, list[tuple[int, int]], int]:
    """The same, by the program."""
    log = program.fsck(root)
    damaged = [(found["first_seq"], found["last_seq"]) for found in log["damage"] if found["cost"] == "lost"]
    return log["records"], ranges(damaged), log["last_seq"]
