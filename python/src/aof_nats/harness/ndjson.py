"""Records as lines of JSON, in the form that `aof-nats read --format ndjson` prints."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from .segment import Record

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def rfc3339(ns: int) -> str:
    """A time in UTC with nanoseconds, without trailing zeros."""
    seconds, rest = divmod(ns, 1_000_000_000)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"


def record_line(record: Record) -> str:
    """One line, without its end. Raises FormatError for headers that cannot be read."""
    subject, body, headers = record.subject_bytes, record.body, record.headers()
    fields: dict[str, Any] = {"seq": record.seq, "time": rfc3339(record.timestamp), "subject": _text(subject)}
    if not _is_text(subject):
        fields["subject_base64"] = _base64(subject)
    fields["ext_id"] = record.ext_id
    fields["headers"] = _listed((_text(key), [_text(value) for value in values]) for key, values in headers.items())
    if not _is_text(record.headers_bytes):
        encoded = ((_base64(key), [_base64(value) for value in values]) for key, values in headers.items())
        fields["headers_base64"] = _listed(encoded)
    if _is_text(body):
        fields["data"] = body.decode("utf-8")
    else:
        fields["data_base64"] = _base64(body)
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _listed(headers: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """Sorted by name; names that are the same have their values together."""
    merged: dict[str, list[str]] = {}
    for name, values in headers:
        merged.setdefault(name, []).extend(values)
    return dict(sorted(merged.items(), key=lambda item: item[0].encode("utf-8")))


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _text(raw: bytes) -> str:
    """The text, with U+FFFD for each byte that is not UTF-8."""
    return "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in raw.decode("utf-8", "surrogateescape"))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
