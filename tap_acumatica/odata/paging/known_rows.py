"""The last rows of a read, by which a pager recognizes rows that arrive again."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from tap_acumatica.odata.errors import DoubtfulAnswer
from tap_acumatica.odata.payload.text_rows import TextRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.odata.table import Table


class KnownRows:
    """The rows of the last page, and as many before them as are worth knowing.

    A row is recognized by its key and replication key, since a newer version of it counts as a new
    row. Without a key it is recognized by all of its columns, as often as the page contained it.
    """

    def __init__(self, table: Table) -> None:
        key, replication_key = table.key, table.replication_key
        self._table = table
        self._key = key
        self._columns = (*key, replication_key) if replication_key else key
        self._identify: Callable[[Row], Any] = itemgetter(*self._columns) if key else _content
        self._known: Counter[Any] = Counter()
        self._sequence: list[Any] = []
        self._page = 0
        self._identified: tuple[list[Row], list[Any]] = ([], [])

    @property
    def size(self) -> int:
        """Number of rows in the last page."""
        return self._page

    @property
    def reach(self) -> int:
        """Number of rows that are known."""
        return len(self._sequence)

    def end(self, length: int) -> list[Any]:
        """Return the identities of the last rows of the last page, so many."""
        return self._sequence[max(len(self._sequence) - length, 0) :]

    def identity(self, row: Row) -> Any:  # noqa: ANN401 - values of any column
        """Return the values by which a row is recognized."""
        try:
            return self._identify(row)
        except KeyError:
            return tuple([row.get(name) for name in self._columns])

    def overlaps(self, rows: list[Row]) -> bool:
        """Whether one of these rows is known."""
        return not self._known.keys().isdisjoint(self._identities(rows))

    def among(self, rows: list[Row]) -> list[Row]:
        """Return those of these rows that are known."""
        if self.overlaps(rows):
            pairs = zip(rows, self._identities(rows), strict=True)
            return [row for row, identity in pairs if identity in self._known]
        return []

    def knows(self, row: Row) -> bool:
        """Whether this row is known."""
        return self.identity(row) in self._known

    def is_last(self, row: Row) -> bool:
        """Whether the row is the last one of the last page."""
        return bool(self._sequence) and self.identity(row) == self._sequence[-1]

    def remember(self, rows: list[Row], least: int = 0) -> None:
        """Make these rows the last page.

        Args:
            rows: The rows.
            least: How many rows to know at least, with those of the pages before. Without a key
                these are forgotten: rows that equal them are other rows.
        """
        identities = self._identities(rows)
        self._page = len(identities)
        earlier = len(self._sequence) - max(least - self._page, 0)
        self._sequence = (self._sequence[max(earlier, 0) :] if self._key else []) + identities
        self._known = Counter(self._sequence)
        self._identified = ([], [])

    def add(self, row: Row) -> None:
        """Add a row that belongs between those of the last page."""
        self._known[self.identity(row)] += 1

    def clear(self) -> None:
        """Forget all rows."""
        self.remember([])

    def new_rows(self, rows: list[Row], *, in_sequence: bool = False) -> list[Row]:
        """Return the rows that are not known.

        Args:
            rows: The rows of the next page.
            in_sequence: The next page begins at the end of the last one. Rows without a key are
                then recognized only where the two meet: equal rows elsewhere are other rows.

        Raises:
            DoubtfulAnswer: The key does not identify rows.
        """
        if self._key:
            return self._new_by_key(rows)
        if in_sequence:
            return rows[self._shortest_overlap(rows) :]
        unmatched = self._known.copy()
        fresh = []
        for row, identity in zip(rows, self._identities(rows), strict=True):
            if unmatched[identity]:
                unmatched[identity] -= 1
            else:
                fresh.append(row)
        return fresh

    def repeats(self, rows: list[Row]) -> int:
        """Return how many rows of a page repeat another row of the same page."""
        if not self._key:
            return 0
        identities = self._identities(rows)
        return len(identities) - len(set(identities))

    def _new_by_key(self, rows: list[Row]) -> list[Row]:
        """Return the new rows, each once (docs/acumatica.md, "Paging")."""
        pairs = zip(rows, self._identities(rows), strict=True)
        if self.repeats(rows):
            self._require_equal(rows)
            seen = set(self._known)
            return [row for row, each in pairs if each not in seen and not seen.add(each)]  # type: ignore[func-returns-value] # None
        if not self.overlaps(rows):
            return rows
        return [row for row, each in pairs if each not in self._known]

    def _require_equal(self, rows: list[Row]) -> None:
        """Refuse different rows of one page that have the same identity."""
        seen: dict[Any, Row] = {}
        for row, identity in zip(rows, self._identities(rows), strict=True):
            other = seen.setdefault(identity, row)
            if other is not row and _content(other) != _content(row):
                message = (
                    f"Two rows of {self._table.entity_set} have the same {', '.join(self._key)}: "
                    "add columns to its key, in the catalog or, for an inquiry, in inquiry_keys "
                    "before discovery."
                )
                raise DoubtfulAnswer(message)

    def _identities(self, rows: list[Row]) -> list[Any]:
        """Return the identities of a page's rows; computed once for each page, to save time."""
        identified_rows, identities = self._identified
        if identified_rows is not rows:
            try:
                identities = list(map(self._identify, rows))
            except KeyError:
                identities = [self.identity(row) for row in rows]
            self._identified = (rows, identities)
        return identities

    def _shortest_overlap(self, rows: list[Row]) -> int:
        """Return the length of the shortest end of the last page with which this page begins."""
        identities = self._identities(rows)
        for length in range(1, min(len(identities), len(self._sequence)) + 1):
            if identities[:length] == self._sequence[-length:]:
                return length
        return 0


def _content(row: Row) -> bytes:
    return row.text if isinstance(row, TextRow) else msgspec.json.encode(row)
