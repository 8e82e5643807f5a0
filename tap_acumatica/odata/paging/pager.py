"""What all pagers have in common: pages in, new rows and the next request out.

A pager knows no network and no clock. A table changes while it is read, the server may send fewer
rows than it was asked for without a word, and it may display an instant up to a second off the one
that it filters and sorts by. The rules that lose no row under these conditions are in
docs/reliability.md; here is how they are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tap_acumatica.odata.errors import InconsistentAnswer

if TYPE_CHECKING:
    from tap_acumatica.odata.errors import RequestFailed
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
    """Asks for one page after the other until nothing is left for it to ask.

    A read begins with one pager. Whoever sends the requests goes on with the pager that `then`
    gives, and in the place of a request that the server refuses with the one of `instead`.

    Attributes:
        table: What is read; may be replaced between two pages by one with fewer columns.
        done: Whether nothing is left for this pager to ask.
        delivered: New rows so far.
        resizable: Whether it can ask for fewer rows, where the server does not answer in time.
        announcement: What the log says of the entity when this pager begins; empty: nothing.
    """

    table: Table
    delivered: int
    resizable: bool
    announcement: str

    @property
    def done(self) -> bool: ...  # noqa: D102 - see Attributes

    def request(self) -> Query | Link:
        """Return what to ask for next; the same until an answer is accepted."""
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

    def then(self) -> Pager | None:
        """Return the pager of what is still to be read once this one is done.

        That is the proof that nothing stands behind the last row, rows that the way of reading
        may have passed over, or all rows once more where too few came. None: the read is complete.
        """
        ...

    def instead(self, failed: RequestFailed) -> Pager | None:
        """Return a pager that asks in another way for what the server refused, or None."""
        ...


def not_obeyed(table: Table, option: str) -> InconsistentAnswer:
    """The error of a server that ignores a query option."""
    return InconsistentAnswer(
        f"Acumatica did not obey {option} for {table.entity_set}, so rows could be lost: set its "
        "replication method to FULL_TABLE in the catalog if it is incremental, else exclude it."
    )
