"""The progress of a run: a log line every ten seconds, or what a display makes of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override

from tap_acumatica.odata.log import logger
from tap_acumatica.odata.masking import visible

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_INTERVAL: Final = 10.0
"""Seconds between two log lines."""


class Display(Protocol):
    """Shows progress somewhere."""

    def show(self, progress: Progress) -> None:
        """Show the current progress."""
        ...


class Progress:
    """Counts pages and rows; it is updated per page, not per row."""

    def __init__(
        self, total: int, display: Display, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start counting.

        Args:
            total: Number of streams to read; a stream counts once for each tenant.
            display: Shows the progress.
            clock: Returns the time in seconds.
        """
        self.total = total
        self.begun = 0
        self.name = ""
        self.rows = 0
        self.pages = 0
        self._display = display
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def begin(self, name: str, tenant: str | None) -> None:
        """Begin the next stream."""
        self.begun += 1
        self.name = visible(f"{name} of {tenant}" if tenant else name)
        self.tick()

    def page(self, rows: int) -> None:
        """Count a page with this number of rows."""
        self.pages += 1
        self.rows += rows
        self.tick()

    def tick(self) -> None:
        """Update the display."""
        self._display.show(self)


class Lines:
    """Shows progress as a log line every ten seconds."""

    def __init__(self) -> None:
        self._last_seconds = 0.0
        self._last_rows = 0

    def show(self, progress: Progress) -> None:
        """Log a line if ten seconds have passed since the last one."""
        elapsed = progress.seconds - self._last_seconds
        if elapsed < LOG_INTERVAL:
            return
        logger.info(
            "Progress: %d rows (%.0f rows/s), %d pages, stream %d of %d (%s)",
            progress.rows,
            (progress.rows - self._last_rows) / elapsed,
            progress.pages,
            progress.begun,
            progress.total,
            progress.name,
        )
        self._last_seconds, self._last_rows = progress.seconds, progress.rows


class NoProgress(Progress):
    """Progress that is not shown anywhere."""

    def __init__(self) -> None:
        super().__init__(0, Lines())

    @override
    def tick(self) -> None:
        pass
