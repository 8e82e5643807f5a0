"""The pager of incremental reads, which follows the replication key through a window."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.instants import DISPLAY_MARGIN, minus
from tap_acumatica.odata.paging.by_offset import OffsetPager
from tap_acumatica.odata.paging.pager import not_obeyed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.paging.pager import Paging
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.table import Table

MAX_TIES: Final = 50_000
"""Maximum number of rows of one second that are read in one request if there is no key."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `low` (inclusive; None: from the beginning) to `high` (exclusive)."""

    low: datetime | None
    high: datetime


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
        self._replication_key = table.replication_key or ""
        self._window = window
        self._instants = instants
        self._base = window.low
        self._whole_second = False
        self._probes_end = False

    @property
    def remaining(self) -> int | None:
        """Rows still to come, as far as the server counted them with the first page."""
        return self._counting.remaining(self.delivered)

    def narrow(self, high: datetime) -> None:
        """End the window earlier, above all rows that were read."""
        self._window = Window(self._window.low, high)
        # The count was that of the wider window: request it with each page from now on.
        self._counting.expect(self.delivered)

    @override
    def _conditions(self) -> Iterable[str]:
        if self._base:
            yield f"{self._replication_key} ge {self.table.instant(self._base)}"
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
        if self._probes_end and self._skip and fresh:
            message = (
                f"More rows of {self.table.entity_set} were changed within one second than the "
                "server sends in one response, and no key tells them apart: give the inquiry a key "
                "with inquiry_keys, or read it in full (replication method FULL_TABLE in the "
                "catalog)."
            )
            raise InconsistentAnswer(message)
        super()._advance(page, fresh)

    @override
    def _follows_link(self, page: Page, fresh: list[Row]) -> bool:
        # A second that is read in one request is requested again, not continued.
        return super()._follows_link(page, page.rows if self._whole_second else fresh)

    @override
    def _at_end(self, rows: list[Row], fresh: list[Row]) -> bool:
        may_be_capped = self._whole_second and not self._probes_end and bool(rows)
        return not may_be_capped and super()._at_end(rows, fresh)

    @override
    def _step_back(self, rows: list[Row]) -> None:
        if self._whole_second:
            self._skip, self._overlap = 0, self._known.size
            self._probes_end = False
        else:
            super()._step_back(rows)

    @override
    def _move(self, rows: list[Row], read: int) -> None:
        base = self._base_after(rows)
        if base:
            self._base = base
            self._whole_second = self._probes_end = False
            self._skip = 0
            self._overlap = self._at_or_above(rows, base)
        elif self.table.key or not read:
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
        return None if crowded and self.table.key else base

    def _read_whole_second(self, read: int) -> None:
        """Request all rows from the base again, and more; if none is new, probe for the end."""
        self._probes_end = read > MAX_TIES or (self._whole_second and read == self._overlap)
        if self._probes_end:
            self._skip_to(read)
        else:
            self._skip, self._overlap = 0, read
        self._whole_second = True

    def _at_or_above(self, rows: list[Row], base: datetime) -> int:
        return len(rows) - bisect_left(rows, base, key=self._instant)

    def _instant(self, row: Row) -> datetime:
        return self._instants.read(row[self._replication_key])
