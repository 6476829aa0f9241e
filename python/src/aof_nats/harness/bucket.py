"""A bucket that is a directory: where the object of a key lies.

docs/segment-format.md, "A bucket in a directory", says how names are made. A
directory into which the objects of another store were copied, with plain folders
and no marks, is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from .errors import UnreachableError

MARK = "+"
_EMPTY_PART = "%"
_ESCAPED = frozenset(b'"%*/:<>?\\|')
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
_LOG_FOLDER = re.compile(r"([A-Za-z0-9_-]{1,128})\.([0-9a-f]{16})")


def encode_part(part: str) -> str:
    """The name of the file for the last part of a key."""
    raw = part.encode("utf-8")
    name = []
    for at, byte in enumerate(raw):
        escaped = not 0x20 <= byte <= 0x7E or byte in _ESCAPED
        escaped |= byte == ord(".") and at == 0 or byte == ord(MARK) and at == len(raw) - 1
        name.append(f"%{byte:02X}" if escaped else chr(byte))
    return "".join(name) or _EMPTY_PART


def encode_directory(part: str) -> str:
    """The name of the directory for any other part."""
    return encode_part(part) + MARK if part else MARK


def decode_name(name: str, is_directory: bool) -> str | None:
    """The part of a key that a directory entry stands for. None for what belongs
    to the bucket itself or is no name of an object."""
    if is_directory and not name.endswith(MARK):
        return None
    bare = name[:-1] if is_directory else name
    raw = b"" if bare == _EMPTY_PART else bare.encode("utf-8", "surrogateescape")
    try:
        part = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw).decode("utf-8")
    except UnicodeDecodeError:
        return None
    again = encode_directory(part) if is_directory else encode_part(part)
    return part if name and again == name else None


@dataclass(frozen=True)
class LogFolder:
    """What a log has in a bucket. `path` need not exist: a log of which nothing
    was uploaded has no folder."""

    name: str
    log: str
    log_id: int
    path: Path
    marked: bool

    def objects(self) -> dict[str, Path]:
        """All objects by key, in the order of the keys. Raises UnreachableError."""
        try:
            return dict(sorted(_walk(self.path, "", self.marked))) if self.path.is_dir() else {}
        except OSError as error:
            raise UnreachableError(f"{self.path}: {error}") from None


@dataclass(frozen=True)
class Bucket:
    """A directory, or what is below a prefix in it. `marked` says that folders
    have the mark of a file:// bucket."""

    path: Path
    marked: bool

    def folders(self) -> list[LogFolder]:
        """The folders of logs, by name."""
        try:
            names = [(path.name, path) for path in self.path.iterdir() if path.is_dir()]
        except OSError as error:
            raise UnreachableError(f"{self.path}: {error}") from None
        parts = [decode_name(name, True) if self.marked else name for name, _ in names]
        return [self.folder(part) for part in sorted(p for p in parts if p) if _LOG_FOLDER.fullmatch(part)]

    def folder(self, name: str) -> LogFolder:
        """The folder of that name, whether it is there or not. Raises ValueError
        for what cannot be a log's."""
        match = _LOG_FOLDER.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is no folder of a log")
        path = self.path / (encode_directory(name) if self.marked else name)
        return LogFolder(name, match[1], int(match[2], 16), path, self.marked)


def open_bucket(place: str) -> Bucket:
    """Opens a directory or a file:// URL. Raises UnreachableError if it is not
    there, or of a kind that this reader cannot read."""
    path, prefix = Path(place), ""
    if "://" in place:
        path, prefix = _parse_url(place)
    parts = [part for part in prefix.split("/") if part]
    marked = False
    for part in parts:
        directory = path / encode_directory(part)
        marked = directory.is_dir()
        path = directory if marked else path / part
    try:
        names = [entry.name for entry in path.iterdir() if entry.is_dir()]
    except OSError as error:
        raise UnreachableError(f"bucket {place}: {error.strerror or error}") from None
    return Bucket(path, marked or any(name.endswith(MARK) for name in names))


def _parse_url(place: str) -> tuple[Path, str]:
    url = urlsplit(place)
    if url.scheme != "file":
        raise UnreachableError(f"bucket {place}: this reader reads directories and file:// URLs alone")
    query = dict(parse_qsl(url.query))
    if url.netloc not in ("", "localhost") or not url.path.strip("/") or set(query) - {"prefix"}:
        raise UnreachableError(f"bucket {place}: want file:///absolute/directory[?prefix=a/b]")
    return Path(unquote(url.path)), query.get("prefix", "")


def _walk(directory: Path, prefix: str, marked: bool) -> Iterator[tuple[str, Path]]:
    for entry in directory.iterdir():
        is_directory = entry.is_dir()
        part = decode_name(entry.name, is_directory) if marked else entry.name
        if part is None or entry.name.startswith("."):
            continue
        if is_directory:
            yield from _walk(entry, f"{prefix}{part}/", marked)
        else:
            yield prefix + part, entry
