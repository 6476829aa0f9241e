"""Replay: from records to the state that they describe.

The state has the fields of a snapshot, by the names of the page's tables, so a
snapshot's items are the state and a replayed state can be compared with one.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Callable

from .errors import FormatError
from .manifest import ManifestRecord
from .manifest_fields import (
    COLD,
    DELETE,
    DICTIONARY,
    HOT,
    LOG_STATE,
    SEGMENT,
    TIER_NAMES,
    UPLOAD,
    WARM,
    Fields,
    empty_fields,
)
from .manifest_snapshot import Snapshot

_COPY_SEAL = (
    "durable bytes", "segment crc64", "first seq", "last seq", "first ts", "max ts", "record count", "last ext_id",
    "flush failure",
)  # fmt: skip
_COPY_SUBJECTS = ("dictionary id", "subjects kind", "subjects count", "subjects")


class _DoesNotFit(Exception):
    """A record that contradicts the state."""


@dataclass
class State:
    """What a manifest says of its log."""

    log: Fields = field(default_factory=lambda: empty_fields(LOG_STATE))
    segments: dict[int, Fields] = field(default_factory=dict)
    uploads: dict[str, Fields] = field(default_factory=dict)
    deletes: dict[str, Fields] = field(default_factory=dict)
    dictionaries: dict[int, Fields] = field(default_factory=dict)
    misfits: list[str] = field(default_factory=list)
    """Records that were left out because they do not fit, in words."""

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> State:
        items = deepcopy(snapshot.items)
        return cls(
            deepcopy(snapshot.log),
            {item.num("segment id"): item for item in items[2]},
            {item.text("key"): item for item in items[3]},
            {item.text("key"): item for item in items[4]},
            {item.num("dictionary id"): item for item in items[5]},
        )

    def apply(self, record: ManifestRecord) -> None:
        """Applies one record. One that does not fit is noted and left out."""
        step = _STEPS.get(record.name)
        if step is None:
            if not record.name.startswith("user_"):
                self.log["unknown records"] = self.log.num("unknown records") + 1
            return
        try:
            step(self, record, record.fields())
        except (_DoesNotFit, FormatError) as error:
            self.misfits.append(f"record {record.ordinal}, {record.name} of segment {record.segment_id}: {error}")
            return
        if record.name not in ("LogClosed", "SnapshotMarker"):
            self.log["closed"] = False

    def segment(self, record: ManifestRecord, sealed: bool = True) -> Fields:
        segment = self.segments.get(record.segment_id)
        if segment is None:
            raise _DoesNotFit("no such segment")
        if sealed and not segment["sealed"]:
            raise _DoesNotFit("the segment is not sealed")
        return segment

    def raise_to(self, name: str, value: int) -> None:
        self.log[name] = max(self.log.num(name), value)

    def forget_if_gone(self, segment_id: int) -> None:
        """A segment that is wholly trimmed and in no tier is forgotten."""
        segment = self.segments[segment_id]
        trimmed = segment["sealed"] and segment.num("last seq") <= self.log.num("trimmed-to seq")
        if trimmed and not segment.num("resident tiers"):
            del self.segments[segment_id]


def _opened(state: State, record: ManifestRecord, fields: Fields) -> None:
    old = state.segments.get(record.segment_id)
    if old is not None and old["opened"]:
        if any(old[name] != fields[name] for name in ("base seq", "epoch", "salt")):
            raise _DoesNotFit("opened before, with other values")
        return
    segment = old or empty_fields(SEGMENT)
    segment.update({"segment id": record.segment_id, "opened": True, "opened ts": record.timestamp})
    segment.update(fields)
    segment["resident tiers"] = segment.num("resident tiers") | 1 << HOT
    state.segments[record.segment_id] = segment
    state.raise_to("next segment id", record.segment_id + 1)
    state.raise_to("next seq", fields.num("base seq"))
    state.raise_to("epoch", fields.num("epoch"))


def _sealed(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record, sealed=False)
    if segment["sealed"]:
        if segment["segment crc64"] != fields["segment crc64"] or segment["last seq"] != fields["last seq"]:
            raise _DoesNotFit("sealed before, with other values")
        return
    segment.update({"sealed": True, "sealed ts": record.timestamp, "index offset": record.logical_offset})
    segment.update({name: fields[name] for name in _COPY_SEAL})
    state.raise_to("next seq", fields.num("last seq") + 1)
    if fields.num("record count"):
        state.raise_to("max ts", fields.num("max ts"))
    state.raise_to("last ext_id", fields.num("last ext_id"))


def _compression_started(state: State, record: ManifestRecord, fields: Fields) -> None:
    state.segment(record).update({"compressing": True, "compression job id": fields["job id"]})


def _compression_done(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    segment.update({name: fields[name] for name in _COPY_SUBJECTS})
    segment.update({"warm object bytes": fields["object bytes"], "warm tail bytes": fields["tail bytes"]})
    segment["warm crc64"] = fields["warm crc64"]
    segment.update({"compressing": False, "compression job id": 0})
    segment.update({"compression failure reason": 0, "compression failure attempt": 0})
    segment["resident tiers"] = segment.num("resident tiers") | 1 << WARM
    _unmark(segment, WARM)


def _compression_failed(state: State, record: ManifestRecord, fields: Fields) -> None:
    state.segment(record).update({
        "compressing": False, "compression job id": 0,
        "compression failure reason": fields["reason"], "compression failure attempt": fields["attempt"],
    })  # fmt: skip


def _upload_started(state: State, record: ManifestRecord, fields: Fields) -> None:
    key, generation = fields.text("key"), fields.num("generation")
    if key in state.uploads:
        return
    if record.segment_id:
        segment = state.segment(record)
        segment["next generation"] = max(segment.num("next generation"), generation + 1)
    upload = empty_fields(UPLOAD)
    upload.update({"key": key, "segment id": record.segment_id, "location": fields["location"]})
    upload.update({"generation": generation, "started ts": record.timestamp, "ordinal": record.ordinal})
    state.uploads[key] = upload


def _upload_done(state: State, record: ManifestRecord, fields: Fields) -> None:
    key = fields.text("key")
    if not record.segment_id:
        if key in state.uploads:
            state.uploads[key]["confirmed"] = True
        return
    segment = state.segment(record)
    upload = state.uploads.pop(key, None)
    if upload is None and segment["cold key"] != key:
        raise _DoesNotFit("an upload that was not announced")
    if upload is None:
        return
    segment.update({"cold location": fields["location"], "cold key": key, "cold etag": fields["etag"]})
    segment.update({"cold object bytes": fields["object bytes"], "cold tail bytes": fields["tail bytes"]})
    segment.update({"cold generation": upload["generation"], "cold delete queued": False})
    segment["resident tiers"] = segment.num("resident tiers") | 1 << COLD
    _unmark(segment, COLD)


def _upload_failed(state: State, record: ManifestRecord, fields: Fields) -> None:
    upload = state.uploads.get(fields.text("key"))
    if upload is None:
        raise _DoesNotFit("an upload that was not announced")
    upload.update({"failure reason": fields["reason"], "failure attempt": fields["attempt"]})


def _delete_queued(state: State, record: ManifestRecord, fields: Fields) -> None:
    key = fields.text("key")
    if key in state.deletes:
        return
    delete = empty_fields(DELETE)
    delete.update({"key": key, "segment id": record.segment_id, "location": fields["location"]})
    delete.update({"not-before ns": fields["not-before ns"], "queued ts": record.timestamp, "ordinal": record.ordinal})
    state.deletes[key] = delete
    state.uploads.pop(key, None)
    segment = state.segments.get(record.segment_id)
    if segment is not None and segment["cold key"] == key:
        segment["cold delete queued"] = True


def _deleted(state: State, record: ManifestRecord, fields: Fields) -> None:
    key = fields.text("key")
    if state.deletes.pop(key, None) is None:
        return
    segment = state.segments.get(record.segment_id)
    if segment is not None and segment["cold key"] == key:
        empty = empty_fields(SEGMENT)
        for name in ("location", "key", "etag", "object bytes", "tail bytes", "generation", "delete queued"):
            segment[f"cold {name}"] = empty[f"cold {name}"]
        _leave(state, segment, COLD)


def _hydration_started(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    segment.update({"hydrating": True, "hydration source tier": fields["source tier"]})
    segment["hydration target tier"] = fields["target tier"]


def _hydration_done(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    if not segment["hydrating"]:
        raise _DoesNotFit("a hydration that was not started")
    target = segment.num("hydration target tier")
    segment["resident tiers"] = segment.num("resident tiers") | 1 << target
    segment.update({"hydrating": False, "hydration failure reason": 0, "hydration failure attempt": 0})
    _unmark(segment, target)


def _hydration_failed(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    segment.update({"hydrating": False, "hydration failure reason": fields["reason"]})
    segment["hydration failure attempt"] = fields["attempt"]


def _evicted(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    tier = fields.num("tier")
    if tier not in (HOT, WARM):
        raise _DoesNotFit(f"tier {tier} is not local")
    _leave(state, segment, tier)


def _leave(state: State, segment: Fields, tier: int) -> None:
    segment["resident tiers"] = segment.num("resident tiers") & ~(1 << tier)
    _unmark(segment, tier)
    state.forget_if_gone(segment.num("segment id"))


def _marker(state: State, record: ManifestRecord, fields: Fields) -> None:
    state.raise_to("last snapshot id", fields.num("snapshot id"))


def _nothing(state: State, record: ManifestRecord, fields: Fields) -> None:
    """A record that tells and changes nothing."""


def _throttle(state: State, record: ManifestRecord, fields: Fields) -> None:
    state.log.update({"throttle reason": fields["reason"], "throttle retry-after ms": fields["retry-after ms"]})
    state.log["throttle ts"] = record.timestamp


def _verified(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record, sealed=False)
    tier = _tier(fields.num("tier"))
    segment[f"{TIER_NAMES[tier]} verified ts"] = record.timestamp
    _unmark(segment, tier)


def _quarantined(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record, sealed=False)
    tier = _tier(fields.num("tier"))
    mark = (tier, fields.num("reason"), fields.num("offset"), fields.num("length"), record.timestamp)
    marks = [old for old in segment.groups("quarantine marks") if old[0] != tier]
    segment["quarantine marks"] = tuple(sorted([*marks, mark]))
    segment["quarantined tiers"] = segment.num("quarantined tiers") | 1 << tier


def _tier(number: int) -> int:
    if number >= len(TIER_NAMES):
        raise _DoesNotFit(f"tier {number}")
    return number


def _unmark(segment: Fields, tier: int) -> None:
    segment["quarantined tiers"] = segment.num("quarantined tiers") & ~(1 << tier)
    segment["quarantine marks"] = tuple(mark for mark in segment.groups("quarantine marks") if mark[0] != tier)


def _trimmed(state: State, record: ManifestRecord, fields: Fields) -> None:
    state.raise_to("trimmed-to seq", fields.num("first seq kept") - 1)
    state.raise_to("next seq", fields.num("first seq kept"))
    for segment_id in list(state.segments):
        state.forget_if_gone(segment_id)


def _owner(state: State, record: ManifestRecord, fields: Fields) -> None:
    same = fields["epoch"] == state.log["epoch"] and fields["owner name"] == state.log["owner name"]
    if not same and fields.num("epoch") <= state.log.num("epoch") and state.log["owner name"]:
        raise _DoesNotFit(f"epoch {fields.num('epoch')} is not above {state.log.num('epoch')}")
    state.log.update({"epoch": fields["epoch"], "owner name": fields["owner name"]})


def _chunk_uploaded(state: State, record: ManifestRecord, fields: Fields) -> None:
    index = fields.num("chunk index")
    merged: list[tuple[int, ...]] = []
    for first, last in sorted([*state.log.groups("uploaded chunk ranges"), (index, index)]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    state.log["uploaded chunk ranges"] = tuple(merged)


def _closed(state: State, record: ManifestRecord, fields: Fields) -> None:
    state.log.update({"closed": True, "closed segment id": fields["segment id"]})
    state.log["closed mark offset"] = fields["close mark offset"]


def _dictionary(state: State, record: ManifestRecord, fields: Fields) -> None:
    key, number = fields.text("key"), fields.num("dictionary id")
    state.uploads.pop(key, None)
    if number in state.dictionaries:
        return
    added = empty_fields(DICTIONARY)
    added.update(fields)
    added["added ts"] = record.timestamp
    state.dictionaries[number] = added


_Step = Callable[[State, ManifestRecord, Fields], None]
_STEPS: dict[str, _Step] = {
    "SegmentOpened": _opened,
    "SealSegment": _sealed,
    "CompressionStarted": _compression_started,
    "CompressionDone": _compression_done,
    "CompressionFailed": _compression_failed,
    "UploadStarted": _upload_started,
    "UploadDone": _upload_done,
    "UploadFailed": _upload_failed,
    "Tier2DeleteQueued": _delete_queued,
    "Tier2Deleted": _deleted,
    "HydrationStarted": _hydration_started,
    "HydrationDone": _hydration_done,
    "HydrationFailed": _hydration_failed,
    "LocalEvicted": _evicted,
    "SnapshotMarker": _marker,
    "CustomEvent": _nothing,
    "Tier2Throttle": _throttle,
    "SegmentVerified": _verified,
    "SegmentQuarantined": _quarantined,
    "LogTrimmed": _trimmed,
    "OwnerChanged": _owner,
    "ChunkUploaded": _chunk_uploaded,
    "LogClosed": _closed,
    "DictionaryAdded": _dictionary,
}


def differences(left: State, right: State, ignored: list[str] | None = None) -> list[str]:
    """What two states say differently, in words; `ignored` names fields of the
    log state that are left out."""
    found = []
    for name in left.log:
        if name not in (ignored or []) and left.log[name] != right.log.get(name):
            found.append(f"log state: {name} is {left.log[name]!r} and {right.log.get(name)!r}")
    for part in ("segments", "uploads", "deletes", "dictionaries"):
        ours, theirs = getattr(left, part), getattr(right, part)
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            mine, other = ours.get(key), theirs.get(key)
            if mine is None or other is None:
                found.append(f"{part}: {key} is missing on one side")
                continue
            found += [
                f"{part}: {key}: {n} is {mine[n]!r} and {other.get(n)!r}" for n in mine if mine[n] != other.get(n)
            ]
    return found
