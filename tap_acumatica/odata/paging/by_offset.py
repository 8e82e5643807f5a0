"""The pager that uses `$skip`, for reads that have no reliable order by key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.paging.counting import ExpectedCount, NextLinks
from tap_acumatica.odata.paging.known_rows import KnownRows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.paging.pager import Pager, Paging
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table

STEPS_BACK: Final = 8
"""Number of steps back in search of a known row before a read starts over."""

STARTS: Final = 100
"""How often a read starts over before it gives up."""


class OffsetPager:
    """Pages by `$skip`; each page overlaps the one before by a row, so that a shift is noticed.

    The row of the overlap is the position to continue from. If it is not in the page, rows before
    it were inserted or deleted: the pager steps back by half a page until it finds a known row, or
    starts over. Rows that arrive twice in this way are delivered twice, never dropped.
    """

    resizable = True
    announcement = ""

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        self.table = table
        self.done = False
        self.delivered = 0
        self._condition = condition
        self._known = KnownRows(table)
        self._counting = ExpectedCount(paging)
        self._skip = 0
        self._overlap = 0
        self._steps = 0
        self._starts = 0
        self._link: Link | None = None
        self._links = NextLinks(table)

    @staticmethod
    def suits(table: Table) -> bool:
        """Whether the order by key leaves no ties, so that positions mean the same each time."""
        return bool(table.key)

    def request(self) -> Query | Link:
        """Return the next request."""
        if self._link:
            return self._link
        query = self.table.query(*self._conditions(), orderby=self._order())
        size = self._counting.size
        return replace(
            query,
            top=None if size is None else size + self._overlap,
            skip=self._skip,
            count=self._counting.is_due(self.delivered),
        )

    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page; return those of its rows that were not delivered before."""
        self._check(page.rows)
        self._counting.learn(page)
        skipped = self._skip > 0 and self._link is None
        if self.table.key or self._overlap:
            fresh = self._known.new_rows(page.rows, in_sequence=skipped)
        else:
            fresh = page.rows
        if skipped and len(fresh) == len(page.rows):
            self._step_back(page.rows)
            return []
        self._steps = 0
        self.delivered += len(fresh)
        self._advance(page, fresh)
        return fresh

    def resize(self, size: int) -> None:
        """Request this number of new rows from now on."""
        grows = self._counting.size is not None and size > self._counting.size
        if self.table.key and not grows:
            # Known rows are skipped, so that the response is as small as possible.
            self._skip_to(self._skip + self._overlap)
        self._counting.size = size

    def then(self) -> Pager | None:
        """Return None: the last page has proved the end."""
        return None

    def instead(self, failed: RequestFailed) -> Pager | None:  # noqa: ARG002 - of the protocol
        """Return None: there is no plainer request."""
        return None

    def _conditions(self) -> Iterable[str]:
        return (self._condition,)

    def _order(self) -> tuple[str, ...]:
        return self.table.key or self.table.order

    def _check(self, rows: list[Row]) -> None:
        """Refuse rows that the query excludes, or that are out of order."""

    def _step_back(self, rows: list[Row]) -> None:
        self._steps += 1
        if self._steps > STEPS_BACK:
            self._restart()
        else:
            half_a_page = max((len(rows) or self._known.size) // 2, 1)
            self._skip = max(self._skip - half_a_page, 0)

    def _restart(self) -> None:
        self._starts += 1
        if self._starts > STARTS:
            message = (
                f"{self.table.entity_set} shifts faster than it can be read, or the server ignores "
                "$orderby or $skip for it: read it at a quieter time, or with a larger page_size."
            )
            raise InconsistentAnswer(message)
        self._known.clear()
        self._skip = self._overlap = self._steps = 0

    def _advance(self, page: Page, fresh: list[Row]) -> None:
        distinct = len(page.rows) - self._known.repeats(page.rows)
        whole = not self._counting.may_be_cut(page, self._overlap)
        self.done = not page.next_link and (
            (whole and self._skip + distinct == page.count) or self._at_end(page.rows, fresh)
        )
        read = self._skip + len(page.rows)
        if fresh:
            self._known.remember(page.rows)
        elif page.rows:
            self._known.last = self._known.identity(page.rows[-1])
        self._link = None
        if page.next_link is not None and self._follows_link(page, fresh):
            self._link = self._links.follow(page.next_link)
            self._skip, self._overlap = read, 0
        elif not self.done:
            self._move(page.rows, read)

    def _at_end(self, rows: list[Row], fresh: list[Row]) -> bool:
        """Whether a request that continued from the last row brought no new row."""
        if not rows:
            return self._skip == 0
        return not fresh and self._known.identity(rows[-1]) == self._known.last

    def _follows_link(self, page: Page, fresh: list[Row]) -> bool:  # noqa: ARG002 - for subclasses
        """Whether to follow the server's nextLink, as the pager's own request leads nowhere.

        The server's link is often a `$skip` without an overlap that would reveal a shift.
        """
        return self._counting.size is None or not fresh

    def _move(self, rows: list[Row], read: int) -> None:  # noqa: ARG002 - for subclasses
        """Continue behind the first `read` rows; `rows` are the last of them."""
        self._skip_to(read)

    def _skip_to(self, read: int) -> None:
        self._skip = max(read - 1, 0)
        self._overlap = min(read, 1)
