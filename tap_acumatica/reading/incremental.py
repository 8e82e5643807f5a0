"""Reads the rows that have changed since the bookmark, and moves the bookmark.

The rules and their reasons are in docs/reliability.md.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.instants import DAY, bookmark_text, latest, minus
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.paging.cursor import CursorPager, Window
from tap_acumatica.reading import prefetch
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.full_table import read_full_table
from tap_acumatica.reading.model import Checkpoint
from tap_acumatica.reading.pages import convert_value_errors
from tap_acumatica.reading.slices import WindowRead, WindowSlice, WindowSplitter
from tap_acumatica.reading.verification import verifier_for

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tap_acumatica.odata.clock import ServerClock
    from tap_acumatica.reading.model import IncrementalStart, ReadEvent, ReadSettings
    from tap_acumatica.reading.pages import PageReader
    from tap_acumatica.reading.prefetch import Continuation
    from tap_acumatica.reading.slices import RemainingSlices


class IncrementalRead:
    """Reads one entity by a window of its replication key."""

    def __init__(self, pages: PageReader, start: IncrementalStart, settings: ReadSettings) -> None:
        self._pages = pages
        self._start = start
        self._settings = settings
        self._replication_key = pages.table.replication_key or ""

    def __iter__(self) -> Iterator[ReadEvent | Continuation[ReadEvent]]:
        """Yield the events of the read; slices left to other readers come as continuations.

        Raises:
            AcumaticaError: The read cannot be completed.
        """
        clock = self._start.clock_check.clock(self._pages.table, self._pages.look)
        bookmark = self._usable_bookmark(clock)
        window = self._window(bookmark, clock)
        if window.low and window.low >= window.high:
            logger.warning(
                "%s: the server's clock (%s) is not ahead of the bookmark: nothing to read yet.",
                self._pages.table.entity_set,
                bookmark_text(clock.now),
            )
            self._log_stats()
            return
        if bookmark != self._start.bookmark:
            yield Checkpoint(bookmark)
        self._pages.stats.window = window
        read = WindowRead(clock, verifier_for(self._pages.table, self._settings))
        finish = partial(self._finish, bookmark, window, read)
        whole_window = WindowSlice(window, prefetch.MAX_PAGES)
        remaining = yield from self._read_slice(self._pages, read, whole_window)
        if remaining is None:
            yield from finish()
        else:
            remaining.finish = finish

    def _usable_bookmark(self, clock: ServerClock) -> Bookmark:
        """Return the bookmark, or an empty one if the settings now include other rows."""
        bookmark = self._start.bookmark
        entity_set = self._pages.table.entity_set
        scope = dict(self._settings.scope)
        if self._settings.start_date is not None:
            scope["start_date"] = bookmark_text(self._settings.start_date)
        if bookmark.instant is None:
            return Bookmark(scope=scope)
        if bookmark.instant > clock.now + DAY:
            message = (
                f"The bookmark of {entity_set} ({bookmark_text(bookmark.instant)}) is ahead of the "
                f"server's clock ({bookmark_text(clock.now)}): correct or remove it in the state."
            )
            raise AcumaticaError(message)
        if bookmark.narrower_than(scope):
            logger.warning(
                "%s is read in full, since the settings that decide which rows exist have changed "
                "from %s to %s.",
                entity_set,
                dict(bookmark.scope),
                scope,
            )
            return Bookmark(scope=scope)
        return replace(bookmark, scope=scope)

    def _window(self, bookmark: Bookmark, clock: ServerClock) -> Window:
        low = (
            minus(bookmark.instant, self._settings.time_offset)
            if bookmark.instant
            else self._settings.start_date
        )
        return Window(low, clock.now if clock.proved else clock.now + DAY)

    def _read_slice(
        self, pages: PageReader, read: WindowRead, window_slice: WindowSlice
    ) -> Generator[ReadEvent | Continuation[ReadEvent], None, RemainingSlices | None]:
        """Read a slice of the window, or all of it; return the slices left to other readers."""
        instants = self._settings.instants
        pager = CursorPager(pages.table, pages.paging, window_slice.window, instants)
        splitter = WindowSplitter(window_slice, instants, partial(self._read_in_parallel, read))
        # Without a page size the server's links are followed, which lead through the whole window.
        may_split = self._settings.readers > 1 and pages.paging.size and pages.table.key
        for page in pages.read(pager, max_bookmark=read.clock.now):
            read.verifier.add(page.rows)
            if not read.clock.proved:
                read.reach(instants.read(row[self._replication_key]) for row in reversed(page.rows))
            remaining = (
                splitter.split(pager, page.rows, self._replication_key) if may_split else None
            )
            yield page
            if remaining is not None:
                yield remaining
        splitter.report(pager.delivered)
        return splitter.remaining

    def _read_in_parallel(
        self, read: WindowRead, window_slice: WindowSlice
    ) -> Iterator[ReadEvent | Continuation[ReadEvent]]:
        """Return another reader of the same entity, for a slice of the window."""
        events = self._read_slice(self._pages.sibling(), read, window_slice)
        return convert_value_errors(self._pages.table.entity_set, events)

    def _finish(self, bookmark: Bookmark, window: Window, read: WindowRead) -> Iterator[ReadEvent]:
        """Move the bookmark once the window has been read to its end; read the undated rows."""
        clock = read.clock
        verified = replace(window, high=min(window.high, read.reached or clock.now))
        read.verifier.verify_window(verified, self._settings, self._pages.source.ask)
        reached = clock.now if clock.proved else read.reached
        bookmark = replace(bookmark, instant=latest(bookmark.instant, reached))
        yield Checkpoint(bookmark)
        today = clock.now.date().isoformat()
        if bookmark.undated_read_on != today:
            future = self._pages.table.instant(clock.now + DAY)
            name = self._replication_key
            for condition in (f"{name} eq null", f"{name} ge {future}"):
                yield from read_full_table(self._pages, self._settings, condition)
            yield Checkpoint(replace(bookmark, undated_read_on=today))
        self._log_stats()

    def _log_stats(self) -> None:
        logger.info("%s: %s", self._pages.table.entity_set, self._pages.stats)
