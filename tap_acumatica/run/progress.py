"""The progress of a run: a log line every ten seconds or, on a terminal, a bar instead."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as RichProgress
from typing_extensions import override

from tap_acumatica.odata.log import logger
from tap_acumatica.odata.masking import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


class Bar:
    """Shows progress as a bar on a terminal; log messages appear above it."""

    def __init__(self, total: int, console: Console, *, moving: bool = True) -> None:
        self._total = total
        self._bar = RichProgress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[counts]}", style="dim"),
            console=console,
            auto_refresh=moving,
            refresh_per_second=4,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task("", total=total, counts="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar, and let the log handlers of the terminal write above it."""
        stderr = sys.stderr
        with self._bar:
            # Rich has replaced sys.stderr by now.
            handlers = [
                handler
                for handler in logging.getLogger().handlers
                if isinstance(handler, logging.StreamHandler) and handler.stream is stderr
            ]
            for handler in handlers:
                handler.setStream(sys.stderr)
            try:
                yield
                self._bar.update(self._task, completed=self._total)
            finally:
                for handler in handlers:
                    handler.setStream(stderr)

    def show(self, progress: Progress) -> None:
        """Update the bar."""
        rate = progress.rows / max(progress.seconds, 1.0)
        self._bar.update(
            self._task,
            completed=max(progress.begun - 1, 0),
            description=progress.name,
            counts=f"{progress.rows:,} rows, {rate:,.0f} rows/s, {progress.pages:,} pages",
        )


class NoProgress(Progress):
    """Progress that is not shown anywhere."""

    def __init__(self) -> None:
        super().__init__(0, Lines())

    @override
    def tick(self) -> None:
        pass


@contextmanager
def show_progress(total: int) -> Iterator[Progress]:
    """Show the progress of a run as a bar on a terminal, else as log lines.

    Messages on the same terminal would garble the bar, so stdout must go elsewhere.
    """
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield Progress(total, Lines())
        return
    bar = Bar(total, Console(stderr=True))
    with bar.shown():
        yield Progress(total, bar)
