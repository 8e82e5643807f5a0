"""When to ask for a count, and which nextLinks were followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.query import Link

if TYPE_CHECKING:
    from tap_acumatica.odata.paging.pager import Paging
    from tap_acumatica.odata.payload.page import Page
    from tap_acumatica.odata.table import Table


class ExpectedCount:
    """When to ask for `$count`: with the first page, and with each that should be the last.

    The count of the first page only tells when the end is near: rows that come or go meanwhile
    make it wrong. The end is proved by an answer that reaches its own count and was not cut: a
    server may count at another moment than it reads the rows, so that one that is cut could hold
    as many rows as were counted, but others.
    """

    def __init__(self, paging: Paging) -> None:
        self.size = paging.size
        self._asks = paging.count
        self._expected: int | None = None
        self._cap = 0

    def wanted(self, delivered: int) -> bool:
        """Whether to ask for it with the next page, after so many rows."""
        near = self._expected is None or self.size is None or self._expected - delivered < self.size
        return self._asks and near

    def covers(self, delivered: int) -> bool:
        """Whether so many rows are all that there were at the first page."""
        return self._expected is not None and delivered >= self._expected

    def may_be_cut(self, page: Page, overlap: int = 0) -> bool:
        """Whether it is as long as was asked for, or as an earlier one that was cut to less."""
        rows, cap = len(page.rows), self._cap
        full = self.size is not None and rows >= self.size + overlap
        if not full:
            self._cap = max(rows, cap)
        return full or 0 < cap <= rows

    @property
    def known(self) -> bool:
        """Whether the server counts."""
        return self._expected is not None

    def left(self, delivered: int) -> int | None:
        """How many more there were at the first page; None where the server does not count."""
        return None if self._expected is None else max(self._expected - delivered, 0)

    def expect(self, rows: int) -> None:
        """There are about so many."""
        self._expected = rows

    def learn(self, page: Page) -> None:
        """Take what the first page says."""
        if self._expected is None:
            self._expected = page.count
            self._asks = self._asks and page.count is not None


class NextLinks:
    """The nextLinks that were followed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._followed: set[str] = set()

    def follow(self, link: str) -> Link:
        """The link as the next request.

        Raises:
            InconsistentAnswer: It was followed before.
        """
        if link in self._followed:
            message = (
                f"Acumatica's nextLinks for {self._table.entity_set} lead back to a page that was "
                "read: set client_side_paging to true."
            )
            raise InconsistentAnswer(message)
        self._followed.add(link)
        return Link(link, self._table.entity_set, self._table.format, self._table.protocol)
