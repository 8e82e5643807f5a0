"""Splits a window of the replication key into slices that are read in parallel.

Slices meet at an instant: one ends below it (`lt`), the next begins at it (`ge`), so that each row
is in exactly one of them, no matter what it displays. A slice is about as wide as the pages that
its reader may hold; the width follows from the density of rows in the pages before. A slice that
turns out to hold more is cut in turn.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from tap_acumatica.odata.instants import DISPLAY_MARGIN, latest, plus
from tap_acumatica.odata.paging.cursor import Window
from tap_acumatica.reading.prefetch import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tap_acumatica.odata.clock import ServerClock
    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.paging.cursor import CursorPager
    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.reading.bookmarks import Bookmark
    from tap_acumatica.reading.model import ReadEvent
    from tap_acumatica.reading.verification import Verifier

TARGET_FILL: Final = 0.95
"""How full the pages of a slice should be: one row too many would take another request."""

MIN_SLICE: Final = 2 * DISPLAY_MARGIN
"""Minimum distance of a cut from a row that was read, which may be stored later than it shows."""

MAX_WIDTH: Final = timedelta(days=date.max.toordinal())
"""Maximum width of a slice: all of time."""

MAX_WIDENING: Final = 4
"""Maximum width of a slice, as a multiple of the width of the slice before."""


@dataclass(frozen=True, slots=True)
class WindowSlice:
    """A slice of a window.

    Attributes:
        window: The slice's bounds.
        pages: Number of pages that its reader may hold.
        on_count: Callback for the slice's number of rows, once it is known.
    """

    window: Window
    pages: int
    on_count: Callable[[int], None] = field(default=lambda _: None)


@dataclass(slots=True)
class WindowRead:
    """State that the readers of a window's slices share.

    Attributes:
        bookmark: The bookmark with which the read began.
        clock: The server's clock, as far as it is proved for the rows so far.
    """

    bookmark: Bookmark
    clock: ServerClock
    verifier: Verifier
    _confirmed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def confirm(self, clock: ServerClock) -> ServerClock:
        """Take what is proved for the values of a page; return what is proved for all pages."""
        with self._lock:
            if self._confirmed:
                clock = min(clock, self.clock, key=lambda each: (each.max_bookmark, each.proved))
            self.clock, self._confirmed = clock, True
            return clock

    def bookmark_at(self, instant: datetime | None) -> Bookmark:
        """Return the bookmark up to an instant, but at least the one that the read began with."""
        instant = instant and min(instant, self.clock.max_bookmark)
        return replace(self.bookmark, instant=latest(instant, self.bookmark.instant))


class WindowSplitter:
    """Cuts one slice, if its first pages show that it has more rows than its reader may hold."""

    def __init__(
        self,
        window_slice: WindowSlice,
        instants: InstantReader,
        read: Callable[[WindowSlice], Iterable[ReadEvent | Continuation[ReadEvent]]],
    ) -> None:
        self._slice = window_slice
        self._instants = instants
        self._read = read
        self._reported = False
        self.remaining: RemainingSlices | None = None
        """The rest that was cut off; None: nothing was cut off yet."""

    def report(self, rows: int) -> None:
        """Report once how many rows the slice has, or had before it was cut."""
        if not self._reported:
            self._reported = True
            self._slice.on_count(rows)

    def split(
        self, pager: CursorPager, page: list[Row], replication_key: str
    ) -> RemainingSlices | None:
        """Cut off, behind a page, what the reader cannot hold; None if no cut is needed."""
        rows_left = pager.remaining
        if rows_left is None or self.remaining is not None:
            return None
        self.report(pager.delivered + rows_left)
        values = (page[0][replication_key], page[-1][replication_key])
        room = max(self._slice.pages * len(page) * TARGET_FILL - pager.delivered, 0)
        if rows_left <= room + len(page) / 2 or not all(map(self._instants.is_unambiguous, values)):
            return None
        first, last = map(self._instants.read, values)
        density = RowDensity(len(page), max(last - first, MIN_SLICE))
        end = plus(last, max(density.width(room), MIN_SLICE))
        if end >= self._slice.window.high:
            return None
        self.remaining = RemainingSlices(
            Window(end, self._slice.window.high), rows_left - room, density, self._read
        )
        self.remaining.page_rows = len(page)
        pager.narrow(end)
        return self.remaining


@dataclass(frozen=True, slots=True)
class RowDensity:
    """Number of rows in a period."""

    rows: float
    period: timedelta

    def width(self, rows: float) -> timedelta:
        """Return the period that has this number of rows."""
        # Sparse rows of early years would take more time than a timedelta can hold.
        ratio = min(rows / max(self.rows, 1), MAX_WIDTH / self.period)
        return self.period * ratio


class RemainingSlices(Continuation["ReadEvent"]):
    """The rest of a window, handed out in slices."""

    def __init__(
        self,
        window: Window,
        rows: float,
        density: RowDensity,
        read: Callable[[WindowSlice], Iterable[ReadEvent | Continuation[ReadEvent]]],
    ) -> None:
        """Take the rest that was cut off.

        Args:
            window: The rest; it has a lower bound.
            rows: Its estimated number of rows.
            density: The density of rows at its beginning.
            read: Makes the reader of a slice.
        """
        self.page_rows = 0
        """Number of rows in a page."""
        self.finish: Callable[[], Iterable[ReadEvent]] = tuple
        """Makes the reader of what follows the whole window."""
        self._window = window
        self._rows = rows
        self._density = density
        self._read = read
        self._density_from = window.low
        """Beginning of the slice that the density was taken from."""
        self._last_width: timedelta | None = None
        self._lock = threading.Lock()

    @property
    @override
    def has_more(self) -> bool:
        return self._window.low is not None

    @override
    def next_part(self, pages: int) -> Iterable[ReadEvent | Continuation[ReadEvent]]:
        low = self._window.low
        assert low is not None  # noqa: S101 - has_more
        with self._lock:
            planned = pages * self.page_rows * TARGET_FILL
            high = self._high(low, planned)
            self._rows -= planned
            self._window = Window(None if high == self._window.high else high, self._window.high)

        def correct(rows: int) -> None:
            with self._lock:
                self._rows += planned - rows
                if self._density_from is None or low >= self._density_from:
                    self._density_from, self._density = low, RowDensity(rows, high - low)

        return self._read(WindowSlice(Window(low, high), pages, correct))

    @override
    def after(self) -> Iterable[ReadEvent]:
        return self.finish()

    def _high(self, low: datetime, planned: float) -> datetime:
        if self._rows <= planned:
            return self._window.high
        width = max(self._density.width(planned), MIN_SLICE)
        if self._density.rows == 0 and self._last_width:
            width = self._last_width * MAX_WIDENING
        elif self._last_width:
            width = min(width, self._last_width * MAX_WIDENING)
        self._last_width = width
        return min(plus(low, width), self._window.high)
