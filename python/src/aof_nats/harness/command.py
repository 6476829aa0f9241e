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
from .copies import Damage
from .errors import FormatError, HarnessError, NotFoundError, VersionError
from .findings import Finding
from .inspection import as_text, inspect_path
from .ndjson import record_line
from .root import Root, open_root

SUCCESS, USAGE, NOT_FOUND, IO, DAMAGE = 0, 1, 2, 4, 5

_BUCKET = "directory or file:// URL of the bucket, instead of the one that the root was used with last"


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
    check.add_argument("root", help="directory of a root or bucket, or file:// URL of a bucket")
    check.add_argument("--bucket", default="", help=_BUCKET)
    check.add_argument("-j", "--json", action="store_true", help="print JSON instead of text")
    read = commands.add_parser("read", help="print the records of a log, from whatever tier holds them")
    read.add_argument("root", help="directory of a root or bucket, or file:// URL of a bucket")
    read.add_argument("log")
    read.add_argument("--format", choices=["ndjson"], default="ndjson")
    read.add_argument("--bucket", default="", help=_BUCKET)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "inspect":
            return _inspect(options.path, options.json)
        if options.command == "check":
            return _check(options.root, options.bucket, options.json)
        return _read(options.root, options.log, options.bucket)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCESS
    except (NotFoundError, FileNotFoundError) as error:
        return _fail(error, NOT_FOUND)
    except VersionError as error:
        return _fail(error, IO)
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


def _check(place: str, bucket: str, as_json: bool) -> int:
    root = open_root(place, bucket)
    reports = check_root(root)
    if as_json:
        _print_json(root, reports)
    else:
        for text in root.findings:
            print(f"root: {text}")
        for report in reports:
            _print_report(report)
    if root.findings or any(report.damaged for report in reports):
        return DAMAGE
    return IO if any(report.unchecked for report in reports) else SUCCESS


def _print_json(root: Root, reports: list[LogReport]) -> None:
    sound = not root.findings and all(report.ok for report in reports)
    shown = {"root": str(root.path), "bucket": root.bucket, "ok": sound, "findings": root.findings}
    print(json.dumps({**shown, "logs": [report.as_json() for report in reports]}, indent=2))


def _print_report(report: LogReport) -> None:
    state = "DAMAGED" if report.damaged else "not all checked" if report.unchecked else "ok"
    files = ", ".join(f"{count} {tier}" for tier, count in report.copies.items())
    print(
        f"{report.name}: {state}: {report.records} records ({report.first_seq} to {report.last_seq}) in"
        f" {report.segments} segments; files: {files}; {report.manifest_records} manifest records"
    )
    for finding in report.lost:
        print(f"  sequences {finding.first_seq} to {finding.last_seq} lost: {finding.text}; file {finding.path}")
    for finding in report.unchecked:
        print(f"  not checked: {_unchecked(finding)}")
    for finding in report.findings:
        place = "" if finding.offset is None else f", offset {finding.offset}"
        print(f"  segment {finding.segment_id}{place}: {finding.text}; file {finding.path}")
    for note in report.notes:
        print(f"  note: {note}")


def _unchecked(finding: Finding) -> str:
    if finding.first_seq is None:
        return finding.text
    return f"sequences {finding.first_seq} to {finding.last_seq}: {finding.text}"


def _read(place: str, name: str, bucket: str) -> int:
    code = SUCCESS
    for item in open_root(place, bucket).log(name).read():
        if isinstance(item, Damage):
            code = max(code, _missing(name, item))
            continue
        try:
            line = record_line(item)
        except FormatError as error:
            code = _fail(error, DAMAGE)
            continue
        sys.stdout.buffer.write(line.encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()
    return code


def _missing(name: str, item: Damage) -> int:
    seqs = f"log {name}: sequences {item.first_seq} to {item.last_seq}"
    if item.unchecked:
        return _fail(HarnessError(f"{seqs} were not read: {item.reason}"), IO)
    text = f"{seqs} are damaged at offset {item.offset}: {item.path}: {item.reason}"
    return _fail(FormatError(text), DAMAGE)
