"""Standard output: what is written to it arrives whole, or a sentence says why not."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer


class OutputFailed(Exception):  # noqa: N818 - as the sentence says it
    """Nothing more can be written to standard output."""


class _Raw(io.RawIOBase):
    """Standard output without a buffer; its errors are nobody's to take for others."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    @override
    def writable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        return self._raw.fileno()

    @override
    def isatty(self) -> bool:
        return self._raw.isatty()

    @override
    def write(self, data: Buffer) -> int:
        try:
            return self._raw.write(data)
        except OSError as error:
            # What still waits goes there; else Python tries it at its end, and says so again.
            os.dup2(_nowhere(), self.fileno())
            raise OutputFailed(_sentence(error)) from error


@contextmanager
def complete_stdout() -> Iterator[None]:
    """Have all of stdout written, also where Python does not buffer it and a write is cut short.

    Raises:
        OutputFailed: It is closed, full or has no reader.
    """
    if sys.stderr is None:
        # Else the next connection takes its number.
        sys.stderr = os.fdopen(_nowhere(), "w", encoding="utf-8")
    before: Any = sys.stdout
    if before is None:
        message = "Standard output is closed: send it to a target or a file."
        raise OutputFailed(message)
    before.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Raw(getattr(before.buffer, "raw", before.buffer))),
        encoding=before.encoding,
        errors="replace",
        line_buffering=before.line_buffering,
    )
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = before


def _sentence(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "The target closed the pipe before everything was written: see its own log."
    return (
        f"Standard output cannot be written ({error.strerror}): make room where it goes, or send "
        "it elsewhere."
    )


def _nowhere() -> int:
    return os.open(os.devnull, os.O_WRONLY)
