"""The pager protocol: pages go in, new rows and the next request come out.

A pager knows neither the network nor a clock. A table may change while it is read, the server may
silently send fewer rows than requested, and it may display an instant up to a second off the value
that it filters and sorts by. The pagers follow the rules in docs/reliability.md, so that no row is
lost all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from tap_acumatica.odata.errors import DoubtfulAnswer, InconsistentAnswer

if TYPE_CHECKING:
    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table


@dataclass(slots=True)
class Evidence:
    """What the answers about a table have shown so far, shared by all of its pagers.

    Attributes:
        most_counted: The largest count of an answer that had counted rows behind its last one.
        counts_too_high: The server counts rows that it does not send in any way.
        shortest_cut: Number of rows in the shortest answer that was cut.
        whole: An answer has held all rows that were counted in its place.
    """

    most_counted: int = 0
    counts_too_high: bool = False
    shortest_cut: int | None = None
    whole: bool = False

    def learn(self, page: Page, skipped: int) -> None:
        """Learn from the count of an answer behind so many rows that were skipped."""
        if page.count is not None and page.count > skipped + len(page.rows):
            self.most_counted = max(self.most_counted, page.count)


class ProvedBy(StrEnum):
    """What proves that a read is complete."""

    COUNT = "count"
    """The last answer reached its own count, and the table's counts have been proved."""

    ANSWER_BEHIND = "answer behind the end"
    """A request behind the last row brought nothing."""

    TWO_READS = "two reads"
    """Two reads with different page borders brought the same rows."""

    ONE_RECORD = "one record"
    """The entity is one object, not a set."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof that a read is complete.

    Attributes:
        by: What proves it.
        counted: Number of rows that the server counted as the read began; None if it did not, or
            cannot be trusted to count this table.
        rows: Number of rows that were delivered.
    """

    by: ProvedBy
    counted: int | None
    rows: int


@dataclass(frozen=True, slots=True)
class Paging:
    """How pages are requested.

    Attributes:
        size: Number of new rows in one request; None leaves it to the server.
        count: Request `$count` with the first and the last page.
        evidence: What is known of the table's answers; each table has its own.
    """

    size: int | None = 2000
    count: bool = True
    evidence: Evidence = field(default_factory=Evidence)


class Pager(Protocol):
    """Requests one page after the other until it has nothing left to request.

    A read begins with one pager. The caller sends its requests, continues with the pager that
    `then` returns, and replaces a request that the server refuses by the pager that `instead`
    returns.

    Attributes:
        table: The table to read; may be replaced between two pages by one with fewer columns.
        done: Whether this pager has nothing left to request.
        delivered: Number of new rows so far.
        resizable: Whether the pager can request fewer rows after a timeout.
        announcement: Text that is logged after the entity's name when this pager begins; empty
            for none.
        in_doubt: Whether rows may be missing between those that were delivered.
        by_key: Whether each row surely came that was there, under its key, all through the read.
        place: Literals of the key up to which all rows were delivered; empty if there is no such
            place, None if it is that of the pager before.
    """

    table: Table
    delivered: int
    resizable: bool
    announcement: str
    in_doubt: bool

    @property
    def by_key(self) -> bool: ...  # noqa: D102 - see Attributes

    @property
    def place(self) -> tuple[str, ...] | None: ...  # noqa: D102 - see Attributes

    @property
    def done(self) -> bool: ...  # noqa: D102 - see Attributes

    @property
    def proof(self) -> Proof:
        """What has proved the read to be complete, once nothing remains to be read."""
        ...

    def request(self) -> Query | Link:
        """Return the next request; it stays the same until its page is accepted."""
        ...

    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page; return those of its rows that were not delivered before.

        Raises:
            DoubtfulAnswer: The page contradicts the request; another answer may not. The pager is
                as it was.
            InconsistentAnswer: The answers contradict each other.
        """
        ...

    def resize(self, size: int) -> None:
        """Request this number of new rows from now on."""
        ...

    def then(self) -> Pager | None:
        """Return the pager for what remains to be read once this one is done.

        That can be the proof that nothing follows the last row, rows that this way of reading may
        have passed over, or all rows once more if too few arrived. None: the read is complete.
        """
        ...

    def instead(self, failed: RequestFailed) -> Pager | None:
        """Return a pager that requests in another way what the server refused, or None."""
        ...


def not_obeyed(
    table: Table, option: str, kind: type[InconsistentAnswer] = DoubtfulAnswer
) -> InconsistentAnswer:
    """Return the error for a server that ignores a query option."""
    message = (
        f"Acumatica ignored {option} for {table.entity_set}, so rows could be lost: if the stream "
        "is incremental, set its replication method to FULL_TABLE in the catalog, otherwise "
        "exclude it."
    )
    return kind(message)
