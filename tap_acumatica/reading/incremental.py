"""Reads the rows that have changed since the bookmark, and moves the bookmark.

The rules and their reasons are in docs/reliability.md.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tap_acumatica.odata.clock import EARLIEST_EVIDENCE, MAX_SHIFT
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.instants import DISPLAY_MARGIN, bookmark_text, minus
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.paging.cursor import CursorPager, Window
from tap_acumatica.odata.paging.pager import ProvedBy
from tap_acumatica.reading import prefetch
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.full_table import read_full_table
from tap_acumatica.reading.memory import column_codes
from tap_acumatica.reading.model import Checkpoint, PageRead
from tap_acumatica.reading.pages import convert_value_errors
from tap_acumatica.reading.slices import WindowRead, WindowSlice, WindowSplitter
from tap_acumatica.reading.verification import verifier_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from datetime import datetime

    from tap_acumatica.odata.clock import ServerClock
    from tap_acumatica.odata.paging.pager import Proof
    from tap_acumatica.reading.model import IncrementalStart, ReadEvent, ReadSettings
    from tap_acumatica.reading.pages import PageReader
    from tap_acumatica.reading.prefetch import Continuation
    from tap_acumatica.reading.slices import RemainingSlices


class IncrementalRead:
    """Reads one entity by a window of its replication key."""

    def __init__(
        self,
        pages: PageReader,
        start: IncrementalStart,
        settings: ReadSettings,
        after: Callable[[], Iterable[ReadEvent]] = tuple,
    ) -> None:
        """Prepare the read.

        Args:
            pages: Reads the pages.
            start: Where the window starts.
            settings: The settings that all reads of the run share.
            after: Makes the reader of what follows the window.
        """
        self._pages = pages
        self._after = after
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
        if bookmark != self._start.bookmark:
            yield Checkpoint(bookmark)
        self._pages.stats.window = window
        read = WindowRead(bookmark, clock, verifier_for(self._pages.table, self._settings))
        whole_window = WindowSlice(window, prefetch.MAX_PAGES)
        remaining = yield from self._read_slice(self._pages, read, whole_window, clock.horizon)
        if remaining is None:
            yield from self._finish(window, read)
        else:
            remaining.finish = partial(self._finish_split, window, read)

    def _usable_bookmark(self, clock: ServerClock) -> Bookmark:
        """Return the bookmark, or an empty one if the settings now include other rows."""
        bookmark = self._start.bookmark
        entity_set = self._pages.table.entity_set
        scope = dict(self._settings.scope)
        if self._settings.start_date is not None:
            scope["start_date"] = bookmark_text(self._settings.start_date)
        columns = column_codes(self._pages.table.columns)
        if bookmark.instant is None:
            return Bookmark(scope=scope, columns=columns)
        if bookmark.instant > clock.horizon:
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
            return Bookmark(scope=scope, columns=columns)
        return replace(bookmark, scope=scope, columns=columns)

    def _window(self, bookmark: Bookmark, clock: ServerClock) -> Window:
        low = (
            minus(bookmark.instant, self._settings.time_offset)
            if bookmark.instant
            else self._settings.start_date
        )
        return Window(low, clock.now)

    def _read_slice(
        self,
        pages: PageReader,
        read: WindowRead,
        window_slice: WindowSlice,
        horizon: datetime | None = None,
    ) -> Generator[ReadEvent | Continuation[ReadEvent], None, RemainingSlices | None]:
        """Read a slice of the window, or all of it; return the slices left to other readers.

        Args:
            pages: Reads the pages.
            read: What the readers of all slices share.
            window_slice: The slice.
            horizon: Where to read on to, unless the slice is split; None: no further.
        """
        instants = self._settings.instants
        window = replace(window_slice.window, high=horizon or window_slice.window.high)
        pager = CursorPager(pages.table, pages.paging, window, instants)
        splitter = WindowSplitter(window_slice, instants, partial(self._read_in_parallel, read))
        # Without a page size the server's links are followed, which lead through the whole window.
        may_split = self._settings.readers > 1 and pages.paging.size and pages.table.key
        # The first reader has counted the whole window, before it was split.
        is_first = horizon is not None
        for event in self._read_pages(pages, read, pager, may_overtake=is_first, counts=is_first):
            remaining = (
                splitter.split(pager, event.rows, self._replication_key)
                if may_split and isinstance(event, PageRead) and not event.in_doubt
                else None
            )
            yield event
            if remaining is not None:
                yield remaining
        splitter.report(pager.delivered)
        return splitter.remaining

    def _read_pages(
        self,
        pages: PageReader,
        read: WindowRead,
        pager: CursorPager,
        *,
        may_overtake: bool = True,
        counts: bool = False,
    ) -> Iterator[PageRead | Checkpoint]:
        """Follow a pager to its end, or until it has overtaken the changes to the table.

        If rows come behind its end, they were missing, and others of them may not come at all: the
        bookmark goes back to where the pager began.

        A table that never rests would have more rows for each request. So the part behind the clock
        ends with the first page that begins later than the newest row that was there when the part
        was begun: all others that were there have been read by then. If the server cuts answers, it
        ends only behind as many rows as a page has, since a row that changes all the time may be
        the last of them.
        """
        instants, clock_check = self._settings.instants, self._start.clock_check
        begun: datetime | None = None
        newer_rows = 0
        proof: Proof | None = None
        before = pager.delivered
        for page in pages.read(pager):
            if page.missed:
                # It moves back by way of none only.
                yield Checkpoint(replace(read.bookmark, instant=None))
                yield Checkpoint(read.bookmark_at(pager.window.low))
            read.verifier.add(page.rows)
            clock = read.confirm(
                clock_check.confirmed(pages.table, pages.look, page.rows, page.seen)
            )
            pager.proved_from = clock.now if clock.proved else None
            # Before the rows are handed on: whoever gets them converts them in place.
            first, last = (
                instants.read(page.rows[index][self._replication_key]) for index in (0, -1)
            )
            is_newer = begun is not None and first > begun + DISPLAY_MARGIN
            newer_rows += len(page.rows) * is_newer
            # However the rows show their zone, those before were stored at most a shift below them.
            unshifted = minus(first, MAX_SHIFT + DISPLAY_MARGIN)
            reached = max(pager.reached or unshifted, unshifted)
            is_settled = EARLIEST_EVIDENCE <= reached < clock.max_bookmark and not page.in_doubt
            yield replace(page, reached=reached if is_settled else None)
            if is_newer and newer_rows >= pages.rows_that_fit:
                proof = replace(pager.proof, by=ProvedBy.ANSWER_BEHIND)
                if pager.done or not page.in_doubt:
                    break
                pager.stop()
            is_behind = may_overtake and last > clock.max_bookmark + DISPLAY_MARGIN
            if is_behind and begun is None and (page.in_doubt or not pager.done):
                # Only a clock that is proved tells without a request what can have been there.
                begun = (
                    max(page.seen, clock.now)
                    if clock.proved and page.seen
                    else clock_check.newest_instant(pages.table, pages.look)
                )
        proof = proof or pages.proof
        self._pages.stats.prove(replace(proof, rows=proof.rows - before), counts=counts)

    def _read_in_parallel(
        self, read: WindowRead, window_slice: WindowSlice
    ) -> Iterator[ReadEvent | Continuation[ReadEvent]]:
        """Return another reader of the same entity, for a slice of the window."""
        events = self._read_slice(self._pages.sibling(), read, window_slice)
        return convert_value_errors(self._pages.table.entity_set, events)

    def _finish_split(self, window: Window, read: WindowRead) -> Iterator[ReadEvent]:
        """Read the rows that have changed while the slices were read, then finish the window."""
        whole = replace(window, high=read.clock.horizon)
        pager = CursorPager(self._pages.table, self._pages.paging, whole, self._settings.instants)
        pager.begin_behind(window.high, self._pages.stats.proof)
        pages = self._read_pages(self._pages, read, pager)
        yield from convert_value_errors(self._pages.table.entity_set, pages)
        yield from self._finish(window, read)

    def _finish(self, window: Window, read: WindowRead) -> Iterator[ReadEvent]:
        """Move the bookmark once the window has been read to its end; read the undated rows."""
        clock = read.clock
        verified = replace(window, high=clock.max_bookmark)
        read.verifier.verify_window(verified, self._settings, self._pages.source.ask)
        bookmark = read.bookmark_at(clock.max_bookmark)
        yield Checkpoint(bookmark)
        today = clock.now.date().isoformat()
        if bookmark.undated_read_on != today:
            future = self._pages.table.instant(clock.horizon)
            name = self._replication_key
            undated = f"({name} eq null or {name} ge {future})"
            yield from read_full_table(self._pages, self._settings, undated)
            self._pages.stats.prove(self._pages.proof)
            yield Checkpoint(replace(bookmark, undated_read_on=today))
        yield from self._after()
