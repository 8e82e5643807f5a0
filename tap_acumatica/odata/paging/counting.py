"""The expected number of rows, and the nextLinks that were followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.query import Link

if TYPE_CHECKING:
    from tap_acumatica.odata.paging.pager import Paging
    from tap_acumatica.odata.payload.page import Page
    from tap_acumatica.odata.table import Table


class ExpectedCount:
    """Decides when to request `$count`: with the first page, and with each that may be the last.

    The count of the first page only tells when the end is near, since rows may come and go
    meanwhile. The end is proved by a response that reaches its own count and was not cut: a server
    may count at a different moment than it reads the rows, so a response that was cut could hold
    as many rows as were counted, but different ones.
    """

    def __init__(self, paging: Paging) -> None:
        self.size = paging.size
        self._enabled = paging.count
        self._expected: int | None = None
        self._cap = 0

    def is_due(self, delivered: int) -> bool:
        """Whether to request the count with the next page, after this number of rows."""
        near = self._expected is None or self.size is None or self._expected - delivered < self.size
        return self._enabled and near

    def covers(self, delivered: int) -> bool:
        """Whether this number of rows is all that the first page counted."""
        return self._expected is not None and delivered >= self._expected

    def may_be_cut(self, page: Page, overlap: int = 0) -> bool:
        """Whether the page is as long as requested, or as an earlier page that the server cut."""
        rows, cap = len(page.rows), self._cap
        full = self.size is not None and rows >= self.size + overlap
        if not full:
            self._cap = max(rows, cap)
        return full or 0 < cap <= rows

    @property
    def known(self) -> bool:
        """Whether the server counts."""
        return self._expected is not None

    def remaining(self, delivered: int) -> int | None:
        """Return how many more rows the first page counted; None if the server does not count."""
        return None if self._expected is None else max(self._expected - delivered, 0)

    def expect(self, rows: int) -> None:
        """Set the expected number of rows."""
        self._expected = rows

    def learn(self, page: Page) -> None:
        """Take the count from the first page."""
        if self._expected is None:
            self._expected = page.count
            self._enabled = self._enabled and page.count is not None


class NextLinks:
    """The nextLinks that were followed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._followed: set[str] = set()

    def follow(self, link: str) -> Link:
        """Return the link as the next request.

        Raises:
            InconsistentAnswer: The link was followed before.
        """
        if link in self._followed:
            message = (
                f"Acumatica's nextLinks for {self._table.entity_set} lead back to a page that was "
                "already read: set client_side_paging to true."
            )
            raise InconsistentAnswer(message)
        self._followed.add(link)
        return Link(link, self._table.entity_set, self._table.format, self._table.protocol)
