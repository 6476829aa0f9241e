"""Check of a log's folder in the bucket, beside the objects of its segments."""

from __future__ import annotations

import re

from .errors import FormatError, VersionError
from .findings import Finding
from .identity import LogFile, read_claims, read_epoch
from .root import LogView

_EPOCH_KEY = re.compile(r"epochs/([0-9]{20})")
_SEGMENT_KEY = re.compile(r"segments/[^/]+\.zst")


def check_folder(log: LogView, findings: list[Finding], notes: list[str]) -> None:
    """Looks at log.json and the claims, and notes objects that nothing knows."""
    _check_identity(log, findings)
    _check_claims(log, findings, notes)
    _note_unknown(log, notes)


def _check_identity(log: LogView, findings: list[Finding]) -> None:
    folder, path = log.folder, log.objects.get("log.json")
    assert folder is not None
    if path is None:
        if not log.alone and any(copy.tier == "cold" for copies in log.copies.values() for copy in copies):
            findings.append(Finding(str(folder.path), "no log.json: only its name says which log this is of"))
        return
    try:
        identity = LogFile.read(path)
    except VersionError:
        raise
    except FormatError as error:
        findings.append(Finding(str(path), str(error)))
        return
    if identity.log_id != folder.log_id:
        findings.append(Finding(str(path), f"of log {identity.log_id:016x}"))
    if identity.bucket_folder not in ("", folder.name):
        findings.append(Finding(str(path), f"names the folder {identity.bucket_folder!r}"))


def _check_claims(log: LogView, findings: list[Finding], notes: list[str]) -> None:
    """Claims have no gap; the last one should be this root's."""
    tokens: dict[int, str] = {}
    for key, path in log.objects.items():
        match = _EPOCH_KEY.fullmatch(key)
        if match is None:
            continue
        tokens[int(match[1])] = ""
        try:
            claim = read_epoch(path)
            if claim.epoch != int(match[1]):
                findings.append(Finding(str(path), f"claims epoch {claim.epoch}"))
            tokens[int(match[1])] = claim.token
        except FormatError as error:
            findings.append(Finding(str(path), str(error)))
    epochs = sorted(tokens)
    for before, after in zip(epochs, epochs[1:]):
        if after != before + 1:
            text = f"nobody claims the epochs {before + 1} to {after - 1}, later ones are claimed"
            findings.append(Finding(str(log.path), text))
    if not log.alone:
        _compare_claim(log, tokens, findings, notes)


def _compare_claim(log: LogView, tokens: dict[int, str], findings: list[Finding], notes: list[str]) -> None:
    path = log.path / "claim.json"
    try:
        own = read_claims(path)
    except VersionError:
        raise
    except FormatError as error:
        findings.append(Finding(str(path), str(error)))
        return
    highest = max(tokens, default=0)
    if highest and not any((claim.epoch, claim.token) == (highest, tokens[highest]) for claim in own):
        notes.append(f"epoch {highest} was claimed by another root: this one uploads nothing any more")
    if own[0].epoch and own[0].epoch not in tokens:
        notes.append(f"epoch {own[0].epoch} was claimed by this root and is not any more")


def _note_unknown(log: LogView, notes: list[str]) -> None:
    state = log.manifest.state
    known = {entry["cold key"] for entry in state.segments.values()} | set(state.uploads) | set(state.deletes)
    known |= {entry["key"] for entry in state.dictionaries.values()} | {"log.json"}
    for key in log.objects:
        if key in known or _EPOCH_KEY.fullmatch(key) or (log.alone and _SEGMENT_KEY.fullmatch(key)):
            continue
        notes.append(f"{key}: an object that nothing refers to")
