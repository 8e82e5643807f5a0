"""The number of rows in a request, which shrinks after timeouts and doubtful answers."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.http.retry import MAX_TIMEOUTS

if TYPE_CHECKING:
    from tap_acumatica.odata.errors import DoubtfulAnswer, RequestFailed
    from tap_acumatica.odata.paging.pager import Pager

MIN_PAGE_SIZE: Final = 50
"""Rows of the smallest page after timeouts."""

MAX_DOUBTS: Final = 5
"""Answers in a row, to a request for the smallest page, that may contradict it."""

PAGES_BEFORE_GROWTH: Final = 10
"""Number of good pages before the page grows again."""


class PageSize:
    """Halves after each timeout or doubtful answer, and doubles again after good pages.

    Attributes:
        rows: Number of rows to request; None leaves it to the server.
    """

    def __init__(self, configured: int | None) -> None:
        """Begin with the configured size."""
        self.rows = configured
        self._configured = configured
        self._timeouts = 0
        self._doubts = 0
        self._good_pages = 0

    def copy(self) -> PageSize:
        """Return a copy that changes independently from now on."""
        return copy(self)

    def shrink(self, pager: Pager, failed: RequestFailed) -> None:
        """Request half as many rows after a timeout.

        Raises:
            RequestFailed: The smallest page has timed out too often.
        """
        if self._is_smallest:
            self._timeouts += 1
            if self._timeouts >= MAX_TIMEOUTS:
                raise failed
        self._halve(pager)

    def doubt(self, pager: Pager, doubtful: DoubtfulAnswer) -> None:
        """Request half as many rows after an answer that contradicts its request.

        Fewer of the server's internal pages make a smaller answer.

        Raises:
            DoubtfulAnswer: The smallest page was doubtful too often.
        """
        if self._is_smallest or not pager.resizable:
            self._doubts += 1
            if self._doubts >= MAX_DOUBTS:
                raise doubtful
        if pager.resizable:
            self._halve(pager)

    def limit(self, pager: Pager, top: int) -> bool:
        """Keep a limit of `$top`, which also covers the overlap; return whether it is a new one.

        An overlap is at most as long as the new rows.
        """
        rows = max(top // 2, 1)
        if self._configured is None or rows >= self._configured:
            return False
        self._configured = rows
        self._resize(pager, min(rows, self.rows or rows))
        return True

    def good_page(self, pager: Pager) -> None:
        """Count a page that arrived in time; after enough of them request more rows again."""
        if not pager.resizable:
            return
        self._good_pages += 1
        self._timeouts = self._doubts = 0
        rows, configured = self.rows or 0, self._configured or 0
        if rows < configured and self._good_pages >= PAGES_BEFORE_GROWTH:
            self._resize(pager, min(rows * 2, configured))

    @property
    def _is_smallest(self) -> bool:
        return self.rows is not None and self.rows <= MIN_PAGE_SIZE

    def _halve(self, pager: Pager) -> None:
        rows = self.rows or 2 * MIN_PAGE_SIZE
        self._resize(pager, max(rows // 2, min(MIN_PAGE_SIZE, rows)))

    def _resize(self, pager: Pager, rows: int) -> None:
        self._good_pages = 0
        self.rows = rows
        pager.resize(rows)
