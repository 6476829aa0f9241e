"""Names in a bucket that is a directory, and what else lies in a log's folder."""

from __future__ import annotations

import json
import random
import shutil
import re
from pathlib import Path

import pytest
from aof_nats.harness import command
from aof_nats.harness.bucket import decode_name, encode_directory, encode_part, open_bucket
from aof_nats.harness.errors import UnreachableError
from aof_nats.harness.identity import FORMAT_VERSION

LOG, LOG_ID = "N", "a1a2a3a4a5a6a7a8"


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", "a"),
        ("a/b", "a+/b"),
        ("../up", "%2E.+/up"),
        ("x//y", "x+/+/y"),
        ("slash/", "slash+/%"),
        (".tmp/x", "%2Etmp+/x"),
        ("p+q/r+/s", "p+q+/r%2B+/s"),
        ("100%", "100%25"),
        ("%41", "%2541"),
        ("é\x00\\", "%C3%A9%00%5C"),
        ("spaces too", "spaces too"),
    ],
)
def test_keys_become_the_documented_paths(key: str, path: str) -> None:
    *folders, last = key.split("/")
    assert "/".join([*map(encode_directory, folders), encode_part(last)]) == path
    *names, name = path.split("/")
    assert [decode_name(n, True) for n in names] + [decode_name(name, False)] == key.split("/")


def test_the_paths_of_the_page(tree: Path) -> None:
    page = (tree / "docs" / "segment-format.md").read_text("utf-8")
    table = page.partition("| key | path below the bucket's directory |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(.+)` \| `(.+)` \|$", table, re.M)
    assert len(rows) == 3
    for key, path in rows:
        *folders, last = key.split("/")
        assert "/".join([*map(encode_directory, folders), encode_part(last)]) == path


@pytest.mark.parametrize("name", [".hidden", ".b.swp", "%2", "%zz", "100%", "%41", "q?", "%C3", "", "\udcff", "x+"])
def test_what_is_no_name_of_an_object_is_left_alone(name: str) -> None:
    assert decode_name(name, False) is None
    assert decode_name(name.rstrip("+"), True) is None


def test_every_part_comes_back() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        part = "".join(rng.choice('ab+%.-0éA\x7f "*/:<>?\\|') for _ in range(rng.randrange(6)))
        assert decode_name(encode_part(part), False) == part
        assert decode_name(encode_directory(part), True) == part


@pytest.mark.parametrize("url", ["s3://name", "file://host/x", "file:///", "file:///x?region=y", "/nowhere/at/all"])
def test_a_bucket_that_cannot_be_read_is_unreachable(url: str) -> None:
    with pytest.raises(UnreachableError):
        open_bucket(url)


def test_a_bucket_below_a_prefix(tmp_path: Path) -> None:
    folder = tmp_path / "a b+" / "c+" / f"{LOG}.{LOG_ID}+"
    (folder / "epochs+").mkdir(parents=True)
    (folder / "epochs+" / f"{1:020}").write_text("{}")
    (folder / "unmarked").mkdir()
    (folder / ".tmp").mkdir()
    (found,) = open_bucket(f"file://{tmp_path}?prefix=a%20b/c/").folders()
    assert (found.log, found.log_id, list(found.objects())) == (LOG, int(LOG_ID, 16), [f"epochs/{1:020}"])
    assert open_bucket(str(tmp_path)).folders() == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A log without records that has claimed two epochs."""
    log = tmp_path / "root" / "logs" / LOG
    (log / "manifest").mkdir(parents=True)
    folder = f"{LOG}.{LOG_ID}"
    identity = json.dumps({"format_version": FORMAT_VERSION, "name": LOG, "log_id": LOG_ID, "bucket_folder": folder})
    (log / "log.json").write_text(identity)
    claim = {"made": {"epoch": 2, "token": "t2"}, "intended": {"epoch": 0, "token": ""}}
    (log / "claim.json").write_text(json.dumps({"format_version": FORMAT_VERSION, **claim}))
    bucket = tmp_path / "bucket"
    (tmp_path / "root" / "engine.json").write_text(json.dumps({"format_version": 1, "bucket": f"file://{bucket}"}))
    (bucket / f"{folder}+" / "epochs+").mkdir(parents=True)
    (bucket / f"{folder}+" / "log.json").write_text(identity)
    for epoch in (1, 2):
        _claim(bucket / f"{folder}+", epoch, f"t{epoch}")
    return tmp_path / "root"


def _claim(folder: Path, epoch: int, token: str) -> None:
    value = {"format": 1, "epoch": epoch, "owner": "n", "token": token, "claimed": "2026-01-01T00:00:00Z"}
    (folder / "epochs+" / f"{epoch:020}").write_text(json.dumps(value))


def _check(place: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    return command.main(["check", str(place)]), capsys.readouterr().out


def test_claims_and_identities_are_compared(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = root.parent / "bucket"
    folder = bucket / f"{LOG}.{LOG_ID}+"
    assert _check(root, capsys)[0] == command.SUCCESS
    assert _check(bucket, capsys)[0] == command.SUCCESS
    _claim(folder, 3, "other")
    code, said = _check(root, capsys)
    assert code == command.SUCCESS and "epoch 3 was claimed by another root" in said
    _claim(folder, 7, "other")
    for place in (root, bucket):
        code, said = _check(place, capsys)
        assert code == command.DAMAGE and "nobody claims the epochs 4 to 6" in said
    (folder / "epochs+" / f"{7:020}").rename(folder / "epochs+" / f"{4:020}")
    code, said = _check(root, capsys)
    assert code == command.DAMAGE and "claims epoch 7" in said
    (folder / "epochs+" / f"{4:020}").unlink()
    (folder / "stray").write_text("x")
    assert "stray: an object that nothing refers to" in _check(root, capsys)[1]
    stated = json.loads((folder / "log.json").read_text())
    (folder / "log.json").write_text(json.dumps({**stated, "log_id": "0" * 16, "bucket_folder": "N.1"}))
    code, said = _check(root, capsys)
    assert code == command.DAMAGE and "of log 0000000000000000" in said and "names the folder 'N.1'" in said


def test_a_log_may_be_renamed_and_not_be_doubled(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "logs" / LOG).rename(root / "logs" / "other")
    assert _check(root, capsys)[0] == command.SUCCESS
    shutil.copytree(root / "logs" / "other", root / "logs" / LOG)
    code, said = _check(root, capsys)
    assert code == command.DAMAGE and f"has the id of {LOG}, too" in said


@pytest.mark.parametrize("name", ["engine.json", f"logs/{LOG}/log.json", f"logs/{LOG}/claim.json"])
@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format_version": "x"}', "[" * 100000, '{"bucket": 1, "made": 1, "log_id": "x"}']
)
def test_a_file_that_does_not_decode_is_a_finding(
    root: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    (root / name).write_text(text)
    code, said = _check(root, capsys)
    assert code == command.DAMAGE and Path(name).name in said


@pytest.mark.parametrize("name", ["engine.json", f"logs/{LOG}/log.json", f"logs/{LOG}/claim.json"])
def test_a_newer_format_is_refused(root: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    value = json.loads((root / name).read_text())
    (root / name).write_text(json.dumps({**value, "format_version": FORMAT_VERSION + 1}))
    assert _check(root, capsys)[0] == command.IO
