"""The progress of a run as a bar on a terminal."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_acumatica.run.progress import Progress

__all__ = ["Bar", "Console"]


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
