"""The nextLinks that a read has followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.query import Link

if TYPE_CHECKING:
    from collections.abc import Sized

    from tap_acumatica.odata.table import Table

MAX_EMPTY_PAGES: Final = 50
"""Pages without a row in a row whose nextLinks are followed."""


class NextLinks:
    """The nextLinks that were followed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._followed: set[str] = set()
        self._empty_pages = 0

    def follow(self, link: str, rows: Sized) -> Link:
        """Return the link as the next request.

        Args:
            link: The link.
            rows: The rows of the page that it came with.

        Raises:
            InconsistentAnswer: The link was followed before, or too many pages came without a row.
        """
        self._empty_pages = 0 if rows else self._empty_pages + 1
        if self._empty_pages > MAX_EMPTY_PAGES:
            message = (
                f"Acumatica's nextLinks for {self._table.entity_set} lead from one page without "
                f"rows to the next, {MAX_EMPTY_PAGES} times in a row: deselect large or computed "
                "columns, or exclude the entity."
            )
            raise InconsistentAnswer(message)
        if link in self._followed:
            message = (
                f"Acumatica's nextLinks for {self._table.entity_set} lead back to a page that was "
                "already read: set client_side_paging to true."
            )
            raise InconsistentAnswer(message)
        self._followed.add(link)
        table = self._table
        return Link(link, table.entity_set, table.format, table.protocol, table.call)
