"""Lines of records whose subjects and headers are not UTF-8."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aof_nats.harness import command
from program import LIMIT, Program

MESSAGES = [
    (b"l.\xff\xfe", b""),
    (b"l.\xe2\x82", b""),
    (b"l.a", b"A: \xff\r\nA:   lead\r\nB:\ttab\r\nB:\r\n\xff: y\r\n\xfe: x\r\n"),
    ("l.\u00e9".encode(), b"B: \t tab \r\nA: 1\r\n"),
]


def _publish(url: str) -> None:
    """Publishes each message as it is, and waits for its acknowledgement."""
    place = urlsplit(url)
    assert place.port is not None
    with socket.create_connection((place.hostname, place.port), LIMIT) as connection, connection.makefile("rb") as said:
        said.readline()
        connection.sendall(b'CONNECT {"headers":true,"verbose":false}\r\nSUB r 1\r\n')
        for subject, lines in MESSAGES:
            block = b"NATS/1.0\r\n" + lines + b"\r\n"
            connection.sendall(b"HPUB %s r %d %d\r\n%s\r\n" % (subject, len(block), len(block), block))
            while b'"seq"' not in said.readline():
                pass


def test_what_is_not_utf8_reads_the_same(
    program: Program, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with program.serve(tmp_path / "root", "--log", "L=l.>") as server:
        _publish(server.url)
        server.stop(signal.SIGTERM)
    called = [str(program.path), "read", "L", "--root", str(tmp_path / "root"), "--format", "ndjson"]
    theirs = subprocess.run(called, capture_output=True, timeout=LIMIT, check=True).stdout
    assert command.main(["read", str(tmp_path / "root"), "L"]) == command.SUCCESS
    assert capfdbinary.readouterr().out == theirs
    lines = [json.loads(line) for line in theirs.splitlines()]
    subjects = [base64.b64decode(line["subject_base64"]) if "subject_base64" in line else None for line in lines]
    assert subjects == [MESSAGES[0][0], MESSAGES[1][0], None, None]
    assert lines[2]["headers"] == {"A": ["\ufffd", "lead"], "B": ["tab", ""], "\ufffd": ["x", "y"]}
    assert lines[2]["headers_base64"]["/w=="] == ["eQ=="] and "headers_base64" not in lines[3]
