"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. Sequences only where records are concerned."""

    path: str
    text: str
    segment_id: int = 0
    offset: int | None = None
    length: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None
