"""Splits a window of the replication key, so that its parts are read side by side.

Parts meet at an instant: one ends below it (`lt`), the next begins at it (`ge`), so that each row
is in one of them, whatever it displays. Each is about as wide as the pages that its reader may
hold: the width follows from how dense rows lay in the pages before. A part that turns out to hold
more is cut in its turn.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from tap_acumatica.odata.instants import DISPLAY_MARGIN, latest, minus
from tap_acumatica.odata.paging.cursor import Window
from tap_acumatica.reading.prefetch import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    from tap_acumatica.odata.clock import ServerClock
    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.paging.cursor import CursorPager
    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.reading.model import ReadEvent
    from tap_acumatica.reading.verification import Verifier

FILLED: Final = 0.95
"""How full the pages of a part are to be: one row too many would take a request more."""

MIN_SLICE: Final = 2 * DISPLAY_MARGIN
"""The least distance of a cut from a row that was read: it may be stored later than it shows."""

WIDENING: Final = 4
"""How many times as wide as the part before a part may be."""


@dataclass(frozen=True, slots=True)
class WindowSlice:
    """A part of a window.

    Attributes:
        pages: That its reader may hold.
        found: Told how many rows the part has, once that is known.
    """

    window: Window
    pages: int
    found: Callable[[int], None] = field(default=lambda _: None)


@dataclass(slots=True)
class WindowRead:
    """What the readers of a window's parts share.

    Attributes:
        reached: Where the clock is not proved, the instant before which the rows show that all
            was delivered, once all parts are.
    """

    clock: ServerClock
    verifier: Verifier
    reached: datetime | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, shown: Iterable[datetime]) -> None:
        """Rows show these instants, the last one first.

        Those of the future show nothing: others may come below.
        """
        newest = next((instant for instant in shown if instant <= self.clock.now), None)
        with self.lock:
            self.reached = latest(self.reached, newest and minus(newest))


class WindowSplitter:
    """Cuts one part, if its first pages show that it holds more than its reader."""

    def __init__(
        self,
        part: WindowSlice,
        instants: InstantReader,
        read: Callable[[WindowSlice], Iterable[ReadEvent | Continuation[ReadEvent]]],
    ) -> None:
        self._part = part
        self._instants = instants
        self._read = read
        self._told = False
        self.remaining: RemainingSlices | None = None
        """What was cut off; None: nothing yet."""

    def tell(self, rows: int) -> None:
        """The part has so many rows, or had, before it was cut."""
        if not self._told:
            self._told = True
            self._part.found(rows)

    def split(
        self, pager: CursorPager, page: list[Row], replication_key: str
    ) -> RemainingSlices | None:
        """Cut the part behind a page, as far as its reader can go; None where that is needless."""
        left = pager.remaining
        if left is None or self.remaining is not None:
            return None
        self.tell(pager.delivered + left)
        values = (page[0][replication_key], page[-1][replication_key])
        room = max(self._part.pages * len(page) * FILLED - pager.delivered, 0)
        if left <= room + len(page) / 2 or not all(map(self._instants.is_unambiguous, values)):
            return None
        first, last = map(self._instants.read, values)
        pace = RowDensity(len(page), max(last - first, MIN_SLICE))
        end = last + max(pace.width(room), MIN_SLICE)
        if end >= self._part.window.high:
            return None
        self.remaining = RemainingSlices(
            Window(end, self._part.window.high), left - room, pace, self._read
        )
        self.remaining.page = len(page)
        pager.narrow(end)
        return self.remaining


@dataclass(frozen=True, slots=True)
class RowDensity:
    """How dense rows lie in time."""

    rows: float
    within: timedelta

    def width(self, rows: float) -> timedelta:
        """The time in which so many rows lie."""
        return self.within * (rows / max(self.rows, 1))


class RemainingSlices(Continuation["ReadEvent"]):
    """The rest of a window, handed out in parts."""

    def __init__(
        self,
        window: Window,
        rows: float,
        pace: RowDensity,
        read: Callable[[WindowSlice], Iterable[ReadEvent | Continuation[ReadEvent]]],
    ) -> None:
        """Take what was cut off.

        Args:
            window: With a lower bound.
            rows: About how many it has.
            pace: How dense they lie at its beginning.
            read: Makes the reader of a part.
        """
        self.page = 0
        """Rows of a page."""
        self.finish: Callable[[], Iterable[ReadEvent]] = tuple
        """Makes the reader of what follows the whole window."""
        self._window = window
        self._rows = rows
        self._pace = pace
        self._read = read
        self._known_to = window.low
        self._last_width: timedelta | None = None
        self._lock = threading.Lock()

    @property
    @override
    def left(self) -> bool:
        return self._window.low is not None

    @override
    def part(self, pages: int) -> Iterable[ReadEvent | Continuation[ReadEvent]]:
        low = self._window.low
        assert low is not None  # noqa: S101 - there is a part left
        with self._lock:
            planned = pages * self.page * FILLED
            high = self._high(low, planned)
            self._rows -= planned
            self._window = Window(None if high == self._window.high else high, self._window.high)

        def found(rows: int) -> None:
            with self._lock:
                self._rows += planned - rows
                if self._known_to is None or low >= self._known_to:
                    self._known_to, self._pace = low, RowDensity(rows, high - low)

        return self._read(WindowSlice(Window(low, high), pages, found))

    @override
    def after(self) -> Iterable[ReadEvent]:
        return self.finish()

    def _high(self, low: datetime, planned: float) -> datetime:
        if self._rows <= planned:
            return self._window.high
        width = max(self._pace.width(planned), MIN_SLICE)
        if self._pace.rows == 0 and self._last_width:
            width = self._last_width * WIDENING
        elif self._last_width:
            width = min(width, self._last_width * WIDENING)
        self._last_width = width
        return min(low + width, self._window.high)
