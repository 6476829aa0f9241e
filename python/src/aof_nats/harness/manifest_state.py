"""Replay: from records to the state that they describe.

The state has the fields of a snapshot, by the names of the page's tables, so a
snapshot's items are the state and a replayed state can be compared with one.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Callable

from .errors import FormatError
from .fields import U64
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


def _beginning() -> Fields:
    """The state of a log before its first record."""
    log = empty_fields(LOG_STATE)
    log.update({"next seq": 1, "next segment id": 1})
    return log


@dataclass
class State:
    """What a manifest says of its log."""

    log: Fields = field(default_factory=_beginning)
    segments: dict[int, Fields] = field(default_factory=dict)
    uploads: dict[str, Fields] = field(default_factory=dict)
    deletes: dict[str, Fields] = field(default_factory=dict)
    dictionaries: dict[int, Fields] = field(default_factory=dict)
    misfits: list[str] = field(default_factory=list)
    """Records that were left out because they do not fit, in words."""
    behind_damage: bool = False
    """A record may lack its cause: what is missing counts as fitting."""

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
        step = _STEPS.get(record.name, _nothing)
        try:
            step(self, record, record.fields())
        except (_DoesNotFit, FormatError) as error:
            self.misfits.append(f"record {record.ordinal}, {record.name} of segment {record.segment_id}: {error}")
            return
        if record.name.startswith("type_"):
            self.log["unknown records"] = self.log.num("unknown records") + 1
        self.raise_to("next segment id", record.segment_id + 1)
        if record.name != "LogClosed":
            self.log["closed"] = False

    def segment(self, record: ManifestRecord, sealed: bool = True) -> Fields:
        segment = self.segments.get(record.segment_id)
        if segment is None:
            self.missing("no such segment")
            segment = empty_fields(SEGMENT)
            segment["segment id"] = record.segment_id
            self.segments[record.segment_id] = segment
        if sealed and not segment["sealed"]:
            self.missing("the segment is not sealed")
        return segment

    def missing(self, what: str) -> None:
        """A cause that is missing: behind damage it may have been lost."""
        if not self.behind_damage:
            raise _DoesNotFit(what)

    def raise_to(self, name: str, value: int) -> None:
        self.log[name] = max(self.log.num(name), value)

    def forget_if_gone(self, segment_id: int) -> None:
        """A segment in no tier, with no record that is kept, is forgotten."""
        segment = self.segments[segment_id]
        if not self.needed(segment) and not segment.num("resident tiers"):
            del self.segments[segment_id]

    def trimmed(self, segment: Fields) -> bool:
        """Whether a segment lies wholly before what is kept."""
        return bool(segment["sealed"]) and segment.num("last seq") <= self.log.num("trimmed-to seq")

    def needed(self, segment: Fields) -> bool:
        """Whether a segment holds records that are kept, so that its last good
        copy must stay."""
        return not self.trimmed(segment) and segment.num("last seq") >= segment.num("first seq")


def _opened(state: State, record: ManifestRecord, fields: Fields) -> None:
    old = state.segments.get(record.segment_id)
    if old is not None and old["opened"]:
        if any(old[name] != fields[name] for name in ("base seq", "epoch", "salt")):
            raise _DoesNotFit("opened before, with other values")
        return
    _check_neighbours(state, record.segment_id, fields.num("base seq"), fields.num("base seq") - 1)
    segment = old or empty_fields(SEGMENT)
    segment.update({"segment id": record.segment_id, "opened": True, "opened ts": record.timestamp})
    segment.update(fields)
    segment["resident tiers"] = segment.num("resident tiers") | 1 << HOT
    state.segments[record.segment_id] = segment
    state.raise_to("next segment id", record.segment_id + 1)
    state.raise_to("next seq", fields.num("base seq"))


def _check_neighbours(state: State, segment_id: int, first: int, last: int) -> None:
    """Segments hold the sequences of a log in the order of their ids."""
    for other_id, other in state.segments.items():
        if not other["opened"] and not other["sealed"]:
            continue  # only its id is known
        end = other.num("last seq") if other["sealed"] else other.num("base seq") - 1
        if other_id < segment_id and first <= end:
            raise _DoesNotFit(f"begins with {first}, segment {other_id} ends with {end}")
        if other_id > segment_id and last >= other.num("base seq"):
            raise _DoesNotFit(f"ends with {last}, segment {other_id} begins with {other.num('base seq')}")


def _sealed(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record, sealed=False)
    if segment["sealed"]:
        if any(segment[name] != fields[name] for name in ("segment crc64", "last seq", "record count")):
            raise _DoesNotFit("sealed before, with other values")
        return
    first, last = fields.num("first seq"), fields.num("last seq")
    if segment["opened"] and first < segment.num("base seq"):
        raise _DoesNotFit(f"first seq {first} in a segment of base {segment.num('base seq')}")
    if last == U64 or last + 1 < first or fields.num("record count") > last + 1 - first:
        raise _DoesNotFit(f"{fields.num('record count')} records from {first} to {last}")
    if not segment["opened"]:
        segment["base seq"] = first
    _check_neighbours(state, record.segment_id, fields.num("first seq"), fields.num("last seq"))
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
    _arrive(segment, WARM)


def _compression_failed(state: State, record: ManifestRecord, fields: Fields) -> None:
    state.segment(record).update({
        "compressing": False, "compression job id": 0,
        "compression failure reason": fields["reason"], "compression failure attempt": fields["attempt"],
    })  # fmt: skip


def _upload_started(state: State, record: ManifestRecord, fields: Fields) -> None:
    key, generation = fields.text("key"), fields.num("generation")
    if key in state.uploads:
        upload = state.uploads[key]
        if (upload["segment id"], upload["generation"]) != (record.segment_id, generation):
            raise _DoesNotFit("an upload that was announced for another segment or generation")
        return
    if key in state.deletes:
        raise _DoesNotFit("an upload of a key that is to be deleted")
    if record.segment_id:
        segment = state.segment(record)
        if generation < segment.num("next generation"):
            raise _DoesNotFit(f"generation {generation} was used")
        segment["next generation"] = generation + 1
    upload = empty_fields(UPLOAD)
    upload.update({"key": key, "segment id": record.segment_id, "location": fields["location"]})
    upload.update({"generation": generation, "started ts": record.timestamp, "ordinal": record.ordinal})
    state.uploads[key] = upload


def _upload_done(state: State, record: ManifestRecord, fields: Fields) -> None:
    key = fields.text("key")
    if not record.segment_id:
        if key not in state.uploads or state.uploads[key]["segment id"]:
            return state.missing("an upload that was not announced")
        state.uploads[key].update({"confirmed": True, "failure reason": 0, "failure attempt": 0})
        return
    segment = state.segment(record)
    upload = state.uploads.get(key)
    if upload is not None and upload["segment id"] != record.segment_id:
        upload = None
    if upload is None and segment["cold key"] != key:
        state.missing("an upload that was not announced")
        generation = segment.num("next generation")
        segment["next generation"] = min(generation + 1, (1 << 32) - 1)
    elif upload is None:
        same = (fields["etag"], fields["object bytes"]) == (segment["cold etag"], segment["cold object bytes"])
        if not same:
            raise _DoesNotFit("an upload that was done before, with other values")
        return
    else:
        generation = upload.num("generation")
        del state.uploads[key]
    segment.update({"cold location": fields["location"], "cold key": key, "cold etag": fields["etag"]})
    segment.update({"cold object bytes": fields["object bytes"], "cold tail bytes": fields["tail bytes"]})
    segment.update({"cold generation": generation, "cold delete queued": False})
    _arrive(segment, COLD)


def _upload_failed(state: State, record: ManifestRecord, fields: Fields) -> None:
    upload = state.uploads.get(fields.text("key"))
    if upload is None or upload["segment id"] != record.segment_id:
        return state.missing("an upload that was not announced")
    upload.update({"failure reason": fields["reason"], "failure attempt": fields["attempt"]})


def _delete_queued(state: State, record: ManifestRecord, fields: Fields) -> None:
    key = fields.text("key")
    if key in state.deletes:
        if state.deletes[key]["segment id"] != record.segment_id:
            raise _DoesNotFit("a delete that was queued for another segment")
        return
    segment = state.segments.get(record.segment_id)
    cold = segment is not None and segment["cold key"] == key and segment.num("resident tiers") >> COLD & 1
    if cold and segment is not None and state.needed(segment) and not _good(segment) & ~(1 << COLD):
        state.missing("the last good copy")
    delete = empty_fields(DELETE)
    delete.update({"key": key, "segment id": record.segment_id, "location": fields["location"]})
    delete.update({"not-before ns": fields["not-before ns"], "queued ts": record.timestamp, "ordinal": record.ordinal})
    state.deletes[key] = delete
    state.uploads.pop(key, None)
    if segment is not None and segment["cold key"] == key:
        segment["cold delete queued"] = True


def _deleted(state: State, record: ManifestRecord, fields: Fields) -> None:
    key = fields.text("key")
    if key not in state.deletes or state.deletes[key]["segment id"] != record.segment_id:
        state.missing("a delete that was not queued")
    state.deletes.pop(key, None)
    segment = state.segments.get(record.segment_id)
    if segment is not None and segment["cold key"] == key:
        empty = empty_fields(SEGMENT)
        for name in ("location", "key", "etag", "object bytes", "tail bytes", "generation", "delete queued"):
            segment[f"cold {name}"] = empty[f"cold {name}"]
        _leave(state, segment, COLD)


def _hydration_started(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    source, target = _tier(fields.num("source tier")), _tier(fields.num("target tier"))
    if target in (source, COLD):
        raise _DoesNotFit(f"a hydration from tier {source} to {target}")
    if not segment.num("resident tiers") >> source & 1:
        state.missing(f"a hydration from tier {source}, which does not hold it")
    segment.update({"hydrating": True, "hydration source tier": fields["source tier"]})
    segment["hydration target tier"] = fields["target tier"]


def _hydration_done(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    if not segment["hydrating"]:
        return state.missing("a hydration that was not started")
    source, target = segment.num("hydration source tier"), segment.num("hydration target tier")
    if (source, target) == (COLD, WARM):  # the object itself came down
        arrived = (fields["resident bytes"], segment["cold tail bytes"])
        if arrived != (segment["warm object bytes"], segment["warm tail bytes"]):
            segment["warm crc64"] = 0  # another object than the one that was made here
        segment["warm object bytes"], segment["warm tail bytes"] = arrived
    segment.update({"hydrating": False, "hydration source tier": 0, "hydration target tier": 0})
    segment.update({"hydration failure reason": 0, "hydration failure attempt": 0})
    _arrive(segment, target)


def _hydration_failed(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record, sealed=False)
    if not segment["hydrating"]:
        return state.missing("a hydration that was not started")
    segment.update({"hydrating": False, "hydration source tier": 0, "hydration target tier": 0})
    segment["hydration failure reason"] = fields["reason"]
    segment["hydration failure attempt"] = fields["attempt"]


def _evicted(state: State, record: ManifestRecord, fields: Fields) -> None:
    segment = state.segment(record)
    tier = fields.num("tier")
    if tier not in (HOT, WARM):
        raise _DoesNotFit(f"tier {tier} is not local")
    resident = segment.num("resident tiers") >> tier & 1
    if resident and state.needed(segment) and not _good(segment) & ~(1 << tier):
        state.missing("the last good copy")
    _leave(state, segment, tier)


def _good(segment: Fields) -> int:
    """The tiers with a good copy: neither quarantined nor about to be deleted."""
    good = segment.num("resident tiers") & ~segment.num("quarantined tiers")
    return good & ~(1 << COLD) if segment["cold delete queued"] else good


def _arrive(segment: Fields, tier: int) -> None:
    segment["resident tiers"] = segment.num("resident tiers") | 1 << tier
    segment[f"{TIER_NAMES[tier]} verified ts"] = 0
    _unmark(segment, tier)


def _leave(state: State, segment: Fields, tier: int) -> None:
    if not segment.num("resident tiers") >> tier & 1:
        return
    segment["resident tiers"] = segment.num("resident tiers") & ~(1 << tier)
    segment[f"{TIER_NAMES[tier]} verified ts"] = 0
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
    segment["quarantine marks"] = (*marks, mark)
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
    if not same and fields.num("epoch") <= state.log.num("epoch"):
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
    if number in state.dictionaries and state.dictionaries[number]["key"] == key:
        return
    if key not in state.uploads or not state.uploads[key]["confirmed"]:
        state.missing("a dictionary whose upload is not confirmed")
    state.uploads.pop(key, None)
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
