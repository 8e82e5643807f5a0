"""How many rows a request asks for: fewer where the server does not answer in time."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.http.retry import MAX_TIMEOUTS

if TYPE_CHECKING:
    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.paging.pager import Pager

MIN_PAGE_SIZE: Final = 50
PAGES_BEFORE_GROWTH: Final = 10


class PageSize:
    """Halves after each timeout, and doubles again after good pages, up to what was set.

    Attributes:
        rows: To ask for; None leaves it to the server.
    """

    def __init__(self, wanted: int | None) -> None:
        """Begin with what was set."""
        self.rows = wanted
        self._wanted = wanted
        self._timeouts = 0
        self._good_pages = 0

    def copy(self) -> PageSize:
        """A page size that goes its own way from here."""
        return copy(self)

    def shrink(self, pager: Pager, failed: RequestFailed) -> None:
        """Ask for half as many rows after a timeout.

        Raises:
            RequestFailed: So few rows as this have failed often enough.
        """
        rows = self.rows or 2 * MIN_PAGE_SIZE
        smallest = min(MIN_PAGE_SIZE, rows)
        if rows == smallest:
            self._timeouts += 1
            if self._timeouts >= MAX_TIMEOUTS:
                raise failed
        self._resize(pager, max(rows // 2, smallest))

    def good_page(self, pager: Pager) -> None:
        """Ask for more rows again, if that went well for some time."""
        if not pager.resizable:
            return
        self._good_pages += 1
        self._timeouts = 0
        rows, wanted = self.rows or 0, self._wanted or 0
        if rows < wanted and self._good_pages >= PAGES_BEFORE_GROWTH:
            self._resize(pager, min(rows * 2, wanted))

    def _resize(self, pager: Pager, rows: int) -> None:
        self._good_pages = 0
        self.rows = rows
        pager.resize(rows)
