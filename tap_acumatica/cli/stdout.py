"""Standard output: all that is written to it arrives, or an error says why not."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_acumatica.odata.errors import OutputFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer


class _Raw(io.RawIOBase):
    """Unbuffered standard output whose errors are not mistaken for those of a connection.

    If its reader takes no more for now, a write waits, even if the parent has made it
    non-blocking.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
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
            while (written := self._raw.write(data)) is None:
                select.select([], [self.fileno()], [])
        except OSError as error:
            # Discard what is still buffered; at exit Python would try it again and fail again.
            os.dup2(_open_null(), self.fileno())
            raise OutputFailed(_sentence(error)) from error
        else:
            return written


@contextmanager
def complete_stdout() -> Iterator[None]:
    """Write stdout completely, even if it is unbuffered and single writes are cut short.

    Raises:
        OutputFailed: Standard output is closed, full or has no reader.
    """
    if sys.stderr is None:
        # Occupy the file descriptor of stderr, which the next connection would take.
        sys.stderr = os.fdopen(_open_null(), "w", encoding="utf-8")
    original: Any = sys.stdout
    if original is None:
        message = "Standard output is closed: send it to a target or a file."
        raise OutputFailed(message)
    original.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Raw(getattr(original.buffer, "raw", original.buffer))),
        encoding=original.encoding,
        errors="replace",
        line_buffering=original.line_buffering,
    )
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout = original


def _sentence(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "The target closed the pipe before everything was written: see the target's log."
    return (
        f"Standard output cannot be written ({error.strerror}): make room at its destination, or "
        "send it elsewhere."
    )


def _open_null() -> int:
    return os.open(os.devnull, os.O_WRONLY)
