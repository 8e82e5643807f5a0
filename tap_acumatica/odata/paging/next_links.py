"""The nextLinks that a read has followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.query import Link

if TYPE_CHECKING:
    from tap_acumatica.odata.table import Table


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
