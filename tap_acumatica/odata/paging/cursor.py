"""The pager of incremental reads, which follows the replication key through a window."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import InconsistentAnswer, ZoneError
from tap_acumatica.odata.instants import DISPLAY_MARGIN, minus, plus
from tap_acumatica.odata.paging.by_offset import OffsetPager
from tap_acumatica.odata.paging.end_of_read import Step
from tap_acumatica.odata.paging.pager import not_obeyed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.paging.pager import Pager, Paging
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Query
    from tap_acumatica.odata.table import Table

MAX_TIES: Final = 50_000
"""Maximum number of rows of one second that are read in one request if there is no key."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `low` (inclusive; None: from the beginning) to `high` (exclusive)."""

    low: datetime | None
    high: datetime


@dataclass(frozen=True, slots=True)
class _Origin:
    """A base that was moved.

    Attributes:
        base: The base.
        rows: The last page that was read from it.
        read: Number of rows read from it.
        length: Number of rows of that page at whose end the new base stands.
    """

    base: datetime | None
    rows: list[Row]
    read: int
    length: int = 0


class CursorPager(OffsetPager):
    """Pages through a window of the replication key, in its order.

    The base, at first the window's lower bound, follows the rows. Once a page begins earlier than
    one second before its last row, and at most half of its rows lie within that second, the next
    request starts at that second and skips nothing. Within a crowded second the pager uses `$skip`
    like its parent, but only if the order ends in a key; otherwise it reads the second in one
    request.
    """

    def __init__(
        self, table: Table, paging: Paging, window: Window, instants: InstantReader
    ) -> None:
        super().__init__(table, paging)
        self._paging = paging
        self._replication_key = table.replication_key or ""
        self._window = window
        self._instants = instants
        self._base = window.low
        self._whole_second = False
        self._origin: _Origin | None = None
        """Where the base was moved from, until a known row has come from the new one."""
        self._lost: set[Any] = set()
        """The identities of known rows that did not come from a base that was moved."""
        self._losses = 0
        """Number of times in a row that such rows had not changed."""
        self._cut_at: datetime | None = None
        """The last instant of an answer that held less than was counted."""

    @property
    def reached(self) -> datetime | None:
        """All rows that changed before it have come, in the eyes of the server; None: unknown."""
        return self._origin.base if self._origin else self._base

    @property
    def remaining(self) -> int | None:
        """Rows still to come, as far as the server counted them with the first page."""
        return self._end.remaining(self.delivered)

    def narrow(self, high: datetime) -> None:
        """End the window earlier, above all rows that were read."""
        self._window = Window(self._window.low, high)
        # The count was that of the wider window: it is due with each page from now on.
        self._end.expect(self.delivered)

    def whole_window(self) -> Query:
        """Return the query for the keys of all rows in the window."""
        conditions = self._bounds(self._window.low)
        return self.table.narrow().query(*conditions, orderby=self._order())

    def again(self) -> Pager:
        """Return a pager that reads the window again in another way."""
        return _WindowByOffset(self.table, self._paging, self._window, self._instants)

    def compare_count(self, page: Page) -> None:
        """Compare the delivered rows with the count of the whole window."""
        self._end.compare_count(page, self.delivered)

    @override
    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page, unless no known row has come from a base that was moved.

        Raises:
            ZoneError: Such rows come from the base before, although they have not changed.
        """
        if self._end.step is Step.READ and not self._link:
            if self._known.overlaps(page.rows):
                if self._origin:
                    self._losses = 0
                self._require_in_place(page.rows)
                self._origin = None
            elif self._origin and not self._skip:
                self._check(page.rows)
                self._move_back(page, self._origin)
                return []
        return super().accept(page)

    def _require_in_place(self, rows: list[Row]) -> None:
        """Refuse rows that do not come from bases at or below them, but have not changed.

        Once may be chance: two transactions can take a row to another instant and back.
        """
        lost, self._lost = self._lost, set()
        unchanged = next((row for row in rows if lost and self._known.identity(row) in lost), None)
        if unchanged is None:
            return
        self._losses += 1
        if self._losses > 1:
            value = unchanged[self._replication_key]
            raise ZoneError.of_row(value, edm.instant_literal(self._instants.read(value)))

    def _move_back(self, page: Page, origin: _Origin) -> None:
        """Move the base less far: the known rows have changed, or are not where they show."""
        behind = plus(self._instant(origin.rows[-1]), DISPLAY_MARGIN)
        # If only later rows came, or none, the answer was not cut in front of the known ones.
        is_whole = self._instant(page.rows[0]) > behind if page.rows else not page.count
        if is_whole:
            overlap = origin.rows[-self._overlap :]
            self._lost.update(self._known.identity(row) for row in overlap)
        self._end.shifted()
        self._move_base(origin, origin.length // 2)

    @override
    def _conditions(self) -> Iterable[str]:
        return self._bounds(self._base)

    def _bounds(self, low: datetime | None) -> Iterator[str]:
        if low:
            yield f"{self._replication_key} ge {self.table.instant(low)}"
        yield f"{self._replication_key} lt {self.table.instant(self._window.high)}"

    @override
    def _order(self) -> tuple[str, ...]:
        return (
            self._replication_key,
            *(name for name in super()._order() if name != self._replication_key),
        )

    @override
    def _check(self, rows: list[Row]) -> None:
        low = minus(self._base) if self._base else None
        high = self._window.high + DISPLAY_MARGIN
        previous = None
        values = [row.get(self._replication_key) for row in rows]
        if rows and self._instants.in_order(values):
            # The other values lie between these two.
            values = [values[0], values[-1]]
        for value in values:
            if value is None:
                raise not_obeyed(self.table, "$filter")
            if not self._instants.is_unambiguous(value):
                continue
            instant = self._instants.read(value)
            if instant >= high or (low and instant < low):
                raise not_obeyed(self.table, "$filter")
            if previous and instant < previous:
                raise not_obeyed(self.table, "$orderby")
            previous = instant

    @override
    def _advance(self, page: Page, fresh: list[Row]) -> None:
        if self._whole_second and self._skip and fresh:
            raise self._too_many_ties()
        held_less = fresh and self._end.expects_more(page, self._skip + len(page.rows))
        self._cut_at = self._instant(page.rows[-1]) if held_less else None
        super()._advance(page, fresh)
        # It was cut, or rows are missing in between: the row behind its last one will tell.
        self.in_doubt = self.in_doubt or self._is_cut

    @property
    def _is_cut(self) -> bool:
        """Whether a look behind an answer that held less than is counted comes next."""
        return self._cut_at is not None and self._end.step is Step.LOOK and self._orders_ties

    @override
    def _accept_row_behind(self, page: Page) -> list[Row]:
        if self._whole_second and self._end.step is Step.FETCH and page.rows:
            raise self._too_many_ties()
        if self._is_cut and page.rows and not self._known.overlaps(page.rows):
            self.in_doubt = not self._is_behind(page.rows[0])
        rows = super()._accept_row_behind(page)
        self._cut_at = None
        return rows

    @override
    def _is_behind(self, row: Row) -> bool:
        return self._cut_at is None or self._instant(row) >= minus(self._cut_at)

    @override
    def then(self) -> Pager | None:
        """Return a look for rows that are counted, but were not delivered, or None."""
        fell_short = self.table.key and self._end.fell_short(self.delivered)
        return _ShortfallCheck(self) if fell_short else None

    def _too_many_ties(self) -> InconsistentAnswer:
        return InconsistentAnswer(
            f"More rows of {self.table.entity_set} were changed within one second than the "
            "server sends in one response, and no key tells them apart: give the inquiry a key "
            "with inquiry_keys, or read it in full (replication method FULL_TABLE in the catalog)."
        )

    @override
    def _step_back(self, rows: list[Row]) -> None:
        if self._whole_second:
            self._skip, self._overlap = 0, self._known.size
        else:
            super()._step_back(rows)

    @override
    def _move(self, rows: list[Row], read: int) -> None:
        self._move_base(_Origin(self._base, rows, read), 0 if self._is_cut else len(rows))

    def _move_base(self, origin: _Origin, length: int) -> None:
        """Move the base to the end of the first rows of a page, so many, or read on behind it."""
        base = self._base_after(origin.rows[:length])
        if base:
            self._origin = replace(origin, length=length)
            self._base = base
            self._whole_second = False
            self._skip = 0
            self._overlap = self._at_or_above(origin.rows, base)
        else:
            self._origin = None
            self._base = origin.base
            self._stay(origin.read)

    def _stay(self, read: int) -> None:
        """Continue behind the first `read` rows from the base."""
        if self._orders_ties or not read:
            self._skip_to(read)
        else:
            self._read_whole_second(read)

    def _base_after(self, rows: list[Row]) -> datetime | None:
        """Return one second before the last of these rows, if they hold all rows from there on.

        None: the base has to stay where it is.
        """
        if not rows or not all(
            self._instants.is_unambiguous(row[self._replication_key]) for row in (rows[0], rows[-1])
        ):
            return None
        base = minus(self._instant(rows[-1]))
        if self._instant(rows[0]) >= base:
            return None
        crowded = self._at_or_above(rows, base) * 2 > len(rows)
        return None if crowded and self._orders_ties else base

    def _read_whole_second(self, read: int) -> None:
        """Request all rows from the base again, and more, unless more do not come."""
        if read > MAX_TIES or (self._whole_second and read == self._overlap):
            self._skip_to(read)
        else:
            self._skip, self._overlap = 0, read
        self._whole_second = True

    @property
    def _orders_ties(self) -> bool:
        """Whether the order ends in the whole key."""
        order, limit = self._order(), self.table.max_order
        return bool(self.table.key) and (limit is None or len(order) <= limit)

    def _at_or_above(self, rows: list[Row], base: datetime) -> int:
        return len(rows) - bisect_left(rows, base, key=self._instant)

    def _instant(self, row: Row) -> datetime:
        return self._instants.read(row[self._replication_key])


class _ShortfallCheck:
    """Looks by key alone whether a window has more rows than were delivered.

    Rows that left the window meanwhile are fewer now, not missing.
    """

    resizable = False
    announcement = ""
    in_doubt = True

    def __init__(self, origin: CursorPager) -> None:
        self.table = origin.table
        self.done = False
        self.delivered = 0
        self._origin = origin
        self._has_more = False

    def request(self) -> Query:
        """Return the query for the first row behind as many as were delivered."""
        return replace(self._origin.whole_window(), top=1, skip=self._origin.delivered, count=True)

    def accept(self, page: Page) -> list[Row]:
        """Take note of whether there is such a row; deliver none."""
        self._has_more = bool(page.rows)
        if not page.rows:
            self._origin.compare_count(page)
        self.done = True
        return []

    def resize(self, size: int) -> None:
        """Do nothing: one row is the minimum."""

    def then(self) -> Pager | None:
        """Return a pager for the window, by `$skip`, if it has more rows than delivered."""
        return self._origin.again() if self._has_more else None

    def instead(self, failed: RequestFailed) -> Pager | None:  # noqa: ARG002 - of the protocol
        """Return None: there is no other way to look."""
        return None


class _WindowByOffset(CursorPager):
    """Reads a window by `$skip` alone, so that the number of rows before each of them is known."""

    announcement = "is read again by $skip: Acumatica counted more rows than it sent."

    @override
    def accept(self, page: Page) -> list[Row]:
        rows = super().accept(page)
        self.in_doubt = True
        return rows

    @override
    def _base_after(self, rows: list[Row]) -> datetime | None:
        return None

    @override
    def then(self) -> Pager | None:
        return None
