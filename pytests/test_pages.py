"""The reader's tables are those of the format pages."""

from __future__ import annotations

import re
from pathlib import Path

from aof_nats.harness import manifest_fields as fields
from aof_nats.harness import segment

ROW = re.compile(r"^\| (.+?) \|$")


def table(page: str, name: str) -> list[list[str]]:
    """The rows of the table between the comments `begin NAME` and `end NAME`."""
    block = re.search(rf"<!-- begin {name} -->(.*?)<!-- end {name} -->", page, re.S)
    assert block is not None, name
    rows = [match[1].split(" | ") for line in block[1].splitlines() if (match := ROW.match(line))]
    return rows[2:]


def test_record_types_of_the_manifest(tree: Path) -> None:
    page = (tree / "docs" / "manifest-format.md").read_text("utf-8")
    rows = {int(row[0]): (row[1], row[2], row[3]) for row in table(page, "record types")}
    assert rows == fields.RECORD_TYPES


def test_sections_of_a_snapshot(tree: Path) -> None:
    page = (tree / "docs" / "manifest-format.md").read_text("utf-8")
    for name, ours in (
        ("log state", fields.LOG_STATE),
        ("segment", fields.SEGMENT),
        ("upload", fields.UPLOAD),
        ("delete", fields.DELETE),
        ("dictionary", fields.DICTIONARY),
    ):
        assert [(row[0], row[1]) for row in table(page, name)] == fields.schema(ours), name


def test_reason_codes(tree: Path) -> None:
    page = (tree / "docs" / "manifest-format.md").read_text("utf-8")
    assert tuple(row[1] for row in table(page, "reason codes")) == fields.REASONS


def test_limits_of_a_segment(tree: Path) -> None:
    page = (tree / "docs" / "segment-format.md").read_text("utf-8")
    limits = dict(re.findall(r"^\| ([a-z ,]+?) \| ([0-9]+) \|$", page, re.M))
    assert limits["segment file, bytes"] == str(segment.LONGEST_FILE)
    assert limits["segment header, bytes"] == str(segment.HEADER_LENGTH)
    assert limits["record header, bytes"] == str(segment.RECORD_HEADER_LENGTH)
    assert limits["shortest record, bytes"] == str(segment.SHORTEST_RECORD)
    assert limits["longest record, bytes"] == str(segment.LONGEST_RECORD)
    assert limits["footer, bytes"] == str(segment.FOOTER_LENGTH)
    assert limits["highest sequence"] == str(segment.HIGHEST_SEQ)
