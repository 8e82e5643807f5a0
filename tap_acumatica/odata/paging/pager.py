"""What every pager has in common: pages in, new rows and the next request out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tap_acumatica.odata.errors import InconsistentAnswer

if TYPE_CHECKING:
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table


@dataclass(frozen=True, slots=True)
class Paging:
    """How pages are asked for.

    Attributes:
        size: New rows asked for in one request; None leaves it to the server.
        count: Ask for `$count` with the first and the last page.
    """

    size: int | None = 2000
    count: bool = True


class Pager(Protocol):
    """Asks for one page after the other until a read is complete."""

    table: Table
    """What is read; may be replaced between two pages by one with fewer columns."""
    done: bool
    """Whether the read is proved to be complete."""
    delivered: int
    """New rows so far."""

    def request(self) -> Query | Link:
        """What to ask for next; the same until an answer is accepted."""
        ...

    def accept(self, page: Page) -> list[Row]:
        """Take the answer; return its rows that were not delivered before.

        Raises:
            InconsistentAnswer: It does not fit the request.
        """
        ...

    def resize(self, size: int) -> None:
        """Ask for so many new rows from now on."""
        ...


def not_obeyed(table: Table, option: str) -> InconsistentAnswer:
    """The error of a server that ignores a query option."""
    return InconsistentAnswer(
        f"Acumatica did not obey {option} for {table.entity_set}, so rows could be lost: set its "
        "replication method to FULL_TABLE in the catalog if it is incremental, else exclude it."
    )
