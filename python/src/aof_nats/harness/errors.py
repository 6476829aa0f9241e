"""Errors of the reader. Whatever bytes a decoder is given, it raises no other."""

from __future__ import annotations


class HarnessError(Exception):
    """Root of all errors that this package raises on purpose."""


class FormatError(HarnessError):
    """Bytes that are not what they should be. The text says what, and where."""


class NotOursError(FormatError):
    """The magic is another one, or the bytes belong to another log or segment."""


class VersionError(FormatError):
    """A version, or an incompatible flag, that this reader does not know."""


class TruncatedError(FormatError):
    """A structure that is longer than the bytes that are there."""


class CorruptError(FormatError):
    """A checksum that does not match, or a value that cannot be."""


class NotFoundError(HarnessError):
    """A root, log or file that does not exist."""


class MissingDecoderError(HarnessError):
    """A zstd object without a zstd decoder: install the extra `harness`."""


class UnreachableError(HarnessError):
    """A bucket that is not there, or that this reader cannot read: nothing is
    known of what it holds."""
