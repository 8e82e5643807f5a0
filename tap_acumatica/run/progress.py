"""How far a run is: a line in the log every ten seconds or, on a terminal, a bar in its place."""

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERY: Final = 10.0
"""Seconds between two lines of progress."""


class Display(Protocol):
    """Shows progress somewhere."""

    def show(self, progress: Progress) -> None:
        """Show it as it is now."""
        ...


class Progress:
    """Counts pages and rows as they come; nothing is done for a single row."""

    def __init__(
        self, total: int, display: Display, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to count.

        Args:
            total: How many streams are going to be read, each tenant's counted.
            display: Where to show it.
            clock: In seconds.
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
        """Since the beginning."""
        return self._clock() - self._started

    def begin(self, name: str, tenant: str | None) -> None:
        """The next stream begins."""
        self.begun += 1
        self.name = f"{name} of {tenant}" if tenant else name
        self.tick()

    def page(self, rows: int) -> None:
        """A page has come."""
        self.pages += 1
        self.rows += rows
        self.tick()

    def tick(self) -> None:
        """Time goes by."""
        self._display.show(self)


class Lines:
    """A line in the log, every ten seconds."""

    def __init__(self) -> None:
        self._last_seconds = 0.0
        self._last_rows = 0

    def show(self, progress: Progress) -> None:
        """Write a line if it is time for one."""
        passed = progress.seconds - self._last_seconds
        if passed < EVERY:
            return
        logger.info(
            "Progress: %d rows (%.0f rows/s), %d pages, stream %d of %d (%s)",
            progress.rows,
            (progress.rows - self._last_rows) / passed,
            progress.pages,
            progress.begun,
            progress.total,
            progress.name,
        )
        self._last_seconds, self._last_rows = progress.seconds, progress.rows


class Bar:
    """A bar on a terminal; what is logged meanwhile stands above it."""

    def __init__(self, total: int, console: Console, *, moving: bool = True) -> None:
        self._total = total
        self._bar = RichProgress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[counts]}", style="dim"),
            console=console,
            auto_refresh=moving,
            refresh_per_second=4,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task("", total=total, counts="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar; handlers that write to the terminal write above it."""
        before = sys.stderr
        with self._bar:
            moved = [
                each
                for each in logging.getLogger().handlers
                if isinstance(each, logging.StreamHandler) and each.stream is before
            ]
            for each in moved:
                each.setStream(sys.stderr)
            try:
                yield
                self._bar.update(self._task, completed=self._total)
            finally:
                for each in moved:
                    each.setStream(before)

    def show(self, progress: Progress) -> None:
        """Move the bar."""
        rate = progress.rows / max(progress.seconds, 1.0)
        self._bar.update(
            self._task,
            completed=max(progress.begun - 1, 0),
            description=progress.name,
            counts=f"{progress.rows:,} rows, {rate:,.0f} rows/s, {progress.pages:,} pages",
        )


class NoProgress(Progress):
    """Where nothing is shown."""

    def __init__(self) -> None:
        super().__init__(0, Lines())

    @override
    def tick(self) -> None:
        pass


@contextmanager
def show_progress(total: int) -> Iterator[Progress]:
    """The progress of a run, where its user looks for it.

    Messages on the same terminal would tear the bar apart, so it is for a stderr of its own.
    """
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield Progress(total, Lines())
        return
    bar = Bar(total, Console(stderr=True))
    with bar.shown():
        yield Progress(total, bar)
