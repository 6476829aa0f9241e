"""Which objects of a bucket are the log, where several hold the same sequences.

docs/manifest-format.md, "Claims", has the rules: an owner that was overtaken may
have put an object before it learned that, under a key of its own or under the one
that its successor would have used.
"""

from __future__ import annotations

from dataclasses import dataclass

from .copies import Copy
from .errors import FormatError
from .segment import Footer
from .warm import WarmObject


@dataclass(frozen=True)
class Span:
    """What a key says of its segment. Generations of one span are copies of one
    segment, unless their footers say otherwise."""

    segment_id: int
    first: int
    last: int

    def disputes(self, other: Span) -> bool:
        """Whether the two cannot both be part of a log."""
        before, behind = sorted((self, other), key=lambda span: span.segment_id)
        same = before.segment_id == behind.segment_id
        return same or behind.first < before.first or behind.first <= before.last


@dataclass(frozen=True)
class _Ranked:
    copy: Copy
    footer: Footer | None

    @property
    def epoch(self) -> int:
        """Of the last owner that wrote into the segment, 0 if it does not open."""
        return self.footer.epoch if self.footer else 0

    def is_other(self, other: _Ranked) -> bool:
        """Whether both open and hold different segments."""
        if self.footer is None or other.footer is None:
            return False
        return _identity(self.footer) != _identity(other.footer)


def _identity(footer: Footer) -> tuple[int, ...]:
    ids = (footer.log_id, footer.segment_id, footer.salt)
    return (*ids, footer.first_seq, footer.last_seq, footer.segment_crc64)


def span_of(copy: Copy) -> Span:
    """By the name of a cold object."""
    assert copy.last_seq is not None
    return Span(copy.segment_id, copy.base_seq, copy.last_seq)


def rank(copies: list[Copy], counted: set[str], log_id: int | None) -> tuple[list[Copy], list[str]]:
    """Sorts objects by segment, the one that counts first, and leaves out those
    that are not part of the log; the notes say which. `counted` are the keys that
    the manifest counts on: they come first. Objects that do not compete are not
    opened."""
    spans: dict[Span, list[Copy]] = {}
    for copy in copies:
        spans.setdefault(span_of(copy), []).append(copy)
    competing = _disputed(list(spans)) | {span for span, found in spans.items() if len(found) > 1}

    def order(ranked: _Ranked) -> tuple[bool, int, int]:
        return (ranked.copy.key not in counted, -ranked.epoch, -ranked.copy.generation)

    contenders = [sorted((_open(copy, log_id) for copy in spans[span]), key=order) for span in competing]
    contenders.sort(key=lambda found: (*order(found[0])[:2], found[0].copy.last_seq, found[0].copy.segment_id))
    kept: list[Copy] = [copy for span, found in spans.items() if span not in competing for copy in found]
    notes: list[str] = []
    won: list[_Ranked] = []
    for found in contenders:
        span = span_of(found[0].copy)
        winner = next((other for other in won if span_of(other.copy).disputes(span)), found[0])
        if winner is found[0]:
            won.append(winner)
        for ranked in found:
            if winner is found[0] and not ranked.is_other(winner):
                kept.append(ranked.copy)
            else:
                notes.append(_superseded(ranked, winner))
    return sorted(kept, key=lambda copy: copy.segment_id), notes


def _superseded(ranked: _Ranked, winner: _Ranked) -> str:
    epoch, by = f"{ranked.copy.key}: it is of epoch {ranked.epoch}", f"{winner.copy.key} of epoch {winner.epoch}"
    return f"{epoch}, and {by} holds the same sequences: it is not part of the log"


def _disputed(spans: list[Span]) -> set[Span]:
    """The spans that overlap with another one."""
    spans.sort(key=lambda span: (span.first, span.segment_id, span.last))
    found: set[Span] = set()
    if not spans:
        return found
    widest = spans[0]
    for before, span in zip(spans, spans[1:]):
        for other in (widest, before):
            if span.disputes(other):
                found |= {span, other}
        if span.last > widest.last:
            widest = span
    return found


def _open(copy: Copy, log_id: int | None) -> _Ranked:
    try:
        footer = WarmObject(memoryview(copy.path.read_bytes())).tail()[0]
    except FormatError:
        return _Ranked(copy, None)
    if footer.segment_id != copy.segment_id or log_id not in (None, footer.log_id):
        return _Ranked(copy, None)
    return _Ranked(copy, footer)
