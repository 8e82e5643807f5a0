"""The number of rows in a request, which shrinks if the server does not answer in time."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.http.retry import MAX_TIMEOUTS

if TYPE_CHECKING:
    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.paging.pager import Pager

MIN_PAGE_SIZE: Final = 50
"""Rows of the smallest page after timeouts."""

PAGES_BEFORE_GROWTH: Final = 10
"""Number of good pages before the page grows again."""


class PageSize:
    """Halves after each timeout, and doubles again after good pages, up to the configured size.

    Attributes:
        rows: Number of rows to request; None leaves it to the server.
    """

    def __init__(self, configured: int | None) -> None:
        """Begin with the configured size."""
        self.rows = configured
        self._configured = configured
        self._timeouts = 0
        self._good_pages = 0

    def copy(self) -> PageSize:
        """Return a copy that changes independently from now on."""
        return copy(self)

    def shrink(self, pager: Pager, failed: RequestFailed) -> None:
        """Request half as many rows after a timeout.

        Raises:
            RequestFailed: The smallest page has timed out too often.
        """
        rows = self.rows or 2 * MIN_PAGE_SIZE
        smallest = min(MIN_PAGE_SIZE, rows)
        if rows == smallest:
            self._timeouts += 1
            if self._timeouts >= MAX_TIMEOUTS:
                raise failed
        self._resize(pager, max(rows // 2, smallest))

    def good_page(self, pager: Pager) -> None:
        """Count a page that arrived in time; after enough of them request more rows again."""
        if not pager.resizable:
            return
        self._good_pages += 1
        self._timeouts = 0
        rows, configured = self.rows or 0, self._configured or 0
        if rows < configured and self._good_pages >= PAGES_BEFORE_GROWTH:
            self._resize(pager, min(rows * 2, configured))

    def _resize(self, pager: Pager, rows: int) -> None:
        self._good_pages = 0
        self.rows = rows
        pager.resize(rows)
