"""Several logs of one name in a bucket, as after a root was begun anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aof_nats.harness import command
from aof_nats.harness.errors import NotFoundError
from aof_nats.harness.root import open_root
from program import Program
from roots import wait_until


def _listed(program: Program, bucket: str) -> dict[str, int]:
    """How many records which log of the bucket has."""
    logs = json.loads(program.run("log", "ls", "--root", bucket, "--json").stdout or "[]")
    return {log["name"]: log["records"] for log in logs}


def _wait_for(program: Program, bucket: str, counts: list[int]) -> None:
    wait_until(lambda: sorted(_listed(program, bucket).values()) == counts, "all is in the bucket")


def test_one_of_several_logs_of_one_name_is_chosen_by_id(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = f"file://{tmp_path / 'bucket'}"
    options = ["--log", "N=n.>", "--bucket", bucket, "--segment-age", "100ms"]
    for name, counts in (("lost", [3]), ("new", [2, 3])):
        with program.serve(tmp_path / name, *options) as server:
            program.publish(server, "n.x", ["{}\n"] * counts[0])
            _wait_for(program, bucket, counts)
    names = _listed(program, bucket)
    root = open_root(bucket)
    assert set(root.logs) == set(names)
    with pytest.raises(NotFoundError, match=" and | ".join(names)):
        root.log("N")
    for name, count in names.items():
        assert command.main(["read", bucket, name]) == command.SUCCESS
        said = capsys.readouterr().out
        assert len(said.splitlines()) == count
        assert said == program.run("read", name, "--root", bucket, "--format", "ndjson").stdout
    assert command.main(["check", bucket]) == command.SUCCESS
    said = capsys.readouterr().out
    assert all(f"{name}: ok" in said for name in names)


def test_a_log_that_is_alone_with_its_name_has_that_of_its_folder_too(tmp_path: Path) -> None:
    (tmp_path / "N.00000000000000a1").mkdir()
    root = open_root(f"file://{tmp_path}")
    assert root.log("N") is root.log("N.00000000000000a1")
