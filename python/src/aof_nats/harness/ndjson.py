"""Records as lines of JSON, in the form that `aof-nats read --format ndjson` prints."""

from __future__ import annotations

import base64
import json
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
    body = record.body
    fields: dict[str, Any] = {
        "seq": record.seq,
        "time": rfc3339(record.timestamp),
        "subject": record.subject_bytes.decode("utf-8", "replace"),
        "ext_id": record.ext_id,
        "headers": record.headers(),
    }
    try:
        fields["data"] = body.decode("utf-8")
    except UnicodeDecodeError:
        fields["data_base64"] = base64.b64encode(body).decode("ascii")
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
