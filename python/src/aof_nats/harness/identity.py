"""The JSON files that say what a root, a log and a claim are.

docs/manifest-format.md, "Root and bucket", has their fields; unknown ones are
ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .errors import CorruptError, VersionError

FORMAT_VERSION = 1
_LONGEST = 1 << 20
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_ID = re.compile(r"[0-9a-f]{16}")


def read_json(path: Path, names: Collection[str]) -> dict[str, Any]:
    """An object of JSON with members of these names, and others. Raises FormatError
    for anything else, VersionError for a version that is not known, OSError if
    there is no such file."""
    with path.open("rb") as file:
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise CorruptError(f"{path}: more than {_LONGEST} bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path}: {error}") from None
    if not isinstance(value, dict):
        raise CorruptError(f"{path}: no object of JSON")
    _check_names(value, {"format_version", *names}, path)
    version = value.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int):
        raise CorruptError(f"{path}: format_version {version!r}")
    if version > FORMAT_VERSION:
        raise VersionError(f"{path}: format version {version}, this reader knows {FORMAT_VERSION}")
    return value


def _check_names(value: dict[str, Any], names: Collection[str], path: Path) -> None:
    """The files have no checksum: a name in other letters is damage."""
    for name in value:
        if name not in names and name.lower() in names:
            raise CorruptError(f"{path}: {name!r} stands where {name.lower()!r} should")


def _text(value: dict[str, Any], name: str, path: Path) -> str:
    text = value.get(name, "")
    if not isinstance(text, str):
        raise CorruptError(f"{path}: {name} is {text!r}")
    return text


def _number(value: dict[str, Any], name: str, path: Path) -> int:
    number = value.get(name, 0)
    if not isinstance(number, int) or number < 0:
        raise CorruptError(f"{path}: {name} is {number!r}")
    return number


def _whole(value: dict[str, Any], name: str, path: Path) -> None:
    if not isinstance(value.get(name, 0), int):
        raise CorruptError(f"{path}: {name} is {value[name]!r}")


def _time(value: dict[str, Any], name: str, path: Path) -> None:
    text = _text(value, name, path)
    match = _TIME.fullmatch(text)
    try:
        datetime(*map(int, match.groups()[:6])) if match else None  # type: ignore[arg-type]
    except ValueError:
        match = None
    if text and match is None:
        raise CorruptError(f"{path}: {name} is {text!r}")


@dataclass(frozen=True)
class LogFile:
    """log.json. `name` is "" if it does not say one."""

    name: str
    log_id: int
    bucket_folder: str

    @classmethod
    def read(cls, path: Path) -> LogFile:
        value = read_json(path, ("name", "log_id", "created_ns", "bucket_folder"))
        _whole(value, "created_ns", path)
        name, log_id = _text(value, "name", path), _text(value, "log_id", path)
        if not _ID.fullmatch(log_id):
            raise CorruptError(f"{path}: log id {log_id!r} is not 16 hexadecimal digits")
        return cls(name, int(log_id, 16), _text(value, "bucket_folder", path))


@dataclass(frozen=True)
class Claim:
    """An epoch, 0 for none, and the token that it was claimed with."""

    epoch: int
    token: str


def read_claims(path: Path) -> tuple[Claim, Claim]:
    """claim.json: the claim that was made, and the one that was intended. A root
    without the file has made none."""
    if not path.exists():
        return Claim(0, ""), Claim(0, "")
    value = read_json(path, ("made", "intended", "checked_epoch", "place", "bucket_goes_on"))
    _number(value, "checked_epoch", path)
    parts = [value.get(name, {}) for name in ("made", "intended")]
    if not all(isinstance(part, dict) for part in parts):
        raise CorruptError(f"{path}: made and intended have to be objects")
    for part in parts:
        _check_names(part, ("epoch", "token", "bucket"), path)
        _text(part, "bucket", path)
    made, intended = (Claim(_number(part, "epoch", path), _text(part, "token", path)) for part in parts)
    return made, intended


def read_epoch(path: Path) -> Claim:
    """A claim in the bucket."""
    value = read_json(path, ("format", "epoch", "owner", "token", "claimed"))
    _text(value, "owner", path)
    _time(value, "claimed", path)
    claim = Claim(_number(value, "epoch", path), _text(value, "token", path))
    if value.get("format") != FORMAT_VERSION or not claim.epoch or not claim.token:
        raise CorruptError(f"{path}: no claim of an epoch")
    return claim


def read_bucket_url(path: Path) -> str:
    """The member `bucket` of engine.json, "" for none."""
    value = read_json(path, ("node_id", "created_ns", "bucket"))
    _text(value, "node_id", path)
    _whole(value, "created_ns", path)
    return _text(value, "bucket", path)
