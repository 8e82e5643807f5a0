"""Chooses how the progress of a run is shown."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tap_acumatica.run.progress import Lines, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def show_progress(total: int) -> Iterator[Progress]:
    """Show the progress of a run as a bar on a terminal, else as log lines.

    Messages on the same terminal would garble the bar, so stdout must go elsewhere.
    """
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield Progress(total, Lines())
        return
    # Imported on demand: few runs have a terminal.
    from tap_acumatica.run.progress_bar import Bar, Console  # noqa: PLC0415

    bar = Bar(total, Console(stderr=True))
    with bar.shown():
        yield Progress(total, bar)
