"""The commands `inspect`, `check` and `read`.

Exit codes are those of the program aof-nats: 0 success, 1 usage, 2 not found,
4 input and output, 5 damage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from .check import LogReport, check_root
from .errors import FormatError, HarnessError, NotFoundError
from .inspection import as_text, inspect_path
from .ndjson import record_line
from .root import Damage, open_cold, open_root

SUCCESS, USAGE, NOT_FOUND, IO, DAMAGE = 0, 1, 2, 4, 5


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(prog="python -m aof_nats", description="Reads files of aof-nats without the program itself.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    inspect = commands.add_parser("inspect", help="print what is in a segment, chunk, snapshot, object or root")
    inspect.add_argument("path", type=Path)
    inspect.add_argument("-j", "--json", action="store_true", help="print JSON instead of tables")
    check = commands.add_parser("check", help="verify every checksum and cross reference of a root or bucket")
    check.add_argument("root", type=Path)
    check.add_argument("-j", "--json", action="store_true", help="print JSON instead of text")
    read = commands.add_parser("read", help="print the records of a log, from whatever tier holds them")
    read.add_argument("root", type=Path)
    read.add_argument("log")
    read.add_argument("--format", choices=["ndjson"], default="ndjson")
    read.add_argument("--bucket", type=Path, help="the log's folder in a bucket directory, for what is only there")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "inspect":
            return _inspect(options.path, options.json)
        if options.command == "check":
            return _check(options.root, options.json)
        return _read(options.root, options.log, options.bucket)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCESS
    except (NotFoundError, FileNotFoundError) as error:
        return _fail(error, NOT_FOUND)
    except FormatError as error:
        return _fail(error, DAMAGE)
    except (HarnessError, OSError) as error:
        return _fail(error, IO)


def _fail(error: Exception, code: int) -> int:
    print(f"aof_nats: {error}", file=sys.stderr)
    return code


def _inspect(path: Path, as_json: bool) -> int:
    sections = inspect_path(path)
    if as_json:
        print(json.dumps({section.title: section.rows for section in sections}, indent=2))
    else:
        print(as_text(sections), end="")
    return SUCCESS


def _check(root: Path, as_json: bool) -> int:
    reports = check_root(open_root(root))
    sound = all(report.ok for report in reports)
    if as_json:
        print(json.dumps({"root": str(root), "ok": sound, "logs": [r.as_json() for r in reports]}, indent=2))
    else:
        for report in reports:
            _print_report(report)
    return SUCCESS if sound else DAMAGE


def _print_report(report: LogReport) -> None:
    state = "ok" if report.ok else "DAMAGED"
    print(
        f"{report.name}: {state}: {report.records} records ({report.first_seq} to {report.last_seq}) in"
        f" {report.segments} segments, {report.copies} files; {report.manifest_records} manifest records"
    )
    for finding in report.lost:
        print(f"  sequences {finding.first_seq} to {finding.last_seq} lost: {finding.text}; file {finding.path}")
    for finding in report.findings:
        place = "" if finding.offset is None else f", offset {finding.offset}"
        print(f"  segment {finding.segment_id}{place}: {finding.text}; file {finding.path}")


def _read(path: Path, name: str, bucket: Path | None) -> int:
    log = open_root(path).log(name)
    if bucket is not None:
        open_cold(log, bucket)
    code = SUCCESS
    for item in log.read():
        if isinstance(item, Damage):
            lost = f"sequences {item.first_seq} to {item.last_seq} are damaged at offset {item.offset}"
            _fail(FormatError(f"log {name}: {lost}: {item.path}: {item.reason}"), DAMAGE)
            code = DAMAGE
            continue
        try:
            line = record_line(item)
        except FormatError as error:
            code = _fail(error, DAMAGE)
            continue
        sys.stdout.buffer.write(line.encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()
    return code
