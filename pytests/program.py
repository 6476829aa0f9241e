"""The real program: builds it, and runs its commands with a time limit."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 60.0  # seconds; each command takes well under one


@dataclass
class Server:
    """A running `aof-nats serve`: its process, and what it said at its start."""

    process: subprocess.Popen[str]
    url: str
    events: list[dict[str, Any]]

    def stop(self, number: signal.Signals) -> None:
        """Sends a signal and waits for the end."""
        self.process.send_signal(number)
        self.process.wait(LIMIT)

    def report(self) -> dict[str, Any] | None:
        """What recovery said, if it had anything to say."""
        found = [event["report"] for event in self.events if event.get("msg") == "log_recovered"]
        return found[0] if found else None


@dataclass
class Program:
    """bin/aof-nats."""

    path: Path

    def run(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.path), *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=LIMIT, check=False)

    def fsck(self, root: Path) -> dict[str, Any]:
        """The report of fsck about the only log of a root."""
        result = self.run("fsck", str(root), "--json")
        logs: list[dict[str, Any]] = json.loads(result.stdout)["logs"]
        assert len(logs) == 1, logs
        return logs[0]

    def publish(self, server: Server, subject: str, lines: list[str]) -> None:
        result = self.run("pub", subject, "--ndjson", "-s", server.url, text="".join(lines))
        assert result.returncode == 0, result.stderr

    @contextmanager
    def serve(self, root: Path, *arguments: str) -> Iterator[Server]:
        """Runs `serve` until the block ends, ready when the block begins. A
        process that the block has not stopped is killed."""
        command = [str(self.path), "serve", "--root", str(root), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_drain, args=(process, lines), daemon=True)
        reader.start()
        try:
            yield _wait_ready(process, lines)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(LIMIT)
            reader.join(LIMIT)
            if process.stdout is not None:
                process.stdout.close()


def _drain(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _wait_ready(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> Server:
    events: list[dict[str, Any]] = []
    said = ""
    while True:
        line = lines.get(timeout=LIMIT)
        if line is None:
            raise AssertionError(f"serve ended: {said}")
        said += line
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
        if events[-1].get("msg") == "serving":
            return Server(process, events[-1]["nats_url"], events)


def build_program(tree: Path) -> Program:
    """bin/aof-nats of this tree, up to date by Go's own cache; AOF_NATS names
    another one."""
    named = os.environ.get("AOF_NATS")
    if named:
        return Program(Path(named))
    subprocess.run(["make", "--no-print-directory", "build"], cwd=tree, check=True, timeout=600, capture_output=True)
    return Program(tree / "bin" / "aof-nats")
