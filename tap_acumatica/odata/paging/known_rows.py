"""The place that a read has reached: the rows of its last page, to know them again."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from tap_acumatica.odata.errors import InconsistentAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.odata.table import Table


class KnownRows:
    """The rows of the last page.

    A row is known again by its key and replication key, since another version of it is another
    row; without a key, by all its columns, as often as the page had it.
    """

    def __init__(self, table: Table) -> None:
        key, replication_key = table.key, table.replication_key
        self._table = table
        self._key = key
        self._columns = (*key, replication_key) if replication_key else key
        self._parts: Callable[[Row], Any] = itemgetter(*self._columns) if key else _content
        self._known: Counter[Any] = Counter()
        self._sequence: list[Any] = []
        self._answer: tuple[list[Row], list[Any]] = ([], [])
        self.last: Any = None
        """Identity of the row to go on from."""

    @property
    def size(self) -> int:
        """How many rows the page had."""
        return len(self._sequence)

    def identity(self, row: Row) -> Any:  # noqa: ANN401 - whatever tells rows apart
        """What a row is known by."""
        try:
            return self._parts(row)
        except KeyError:
            return tuple([row.get(name) for name in self._columns])

    def overlaps(self, rows: list[Row]) -> bool:
        """Whether the last page had one of these rows."""
        return not self._known.keys().isdisjoint(self._identities(rows))

    def remember(self, rows: list[Row]) -> None:
        """These rows are the last page now."""
        self._sequence = self._identities(rows)
        self._known = Counter(self._sequence)
        self.last = self._sequence[-1] if rows else None
        self._answer = ([], [])

    def clear(self) -> None:
        """Know no row any more."""
        self.remember([])

    def new_rows(self, rows: list[Row], *, in_sequence: bool = False) -> list[Row]:
        """The rows that the last page did not have.

        Args:
            rows: Of the next answer.
            in_sequence: The answer starts at the end of the last page. Rows without a key are
                then only known where the page ends as the answer begins: equal rows elsewhere
                are others.

        Raises:
            InconsistentAnswer: The key does not tell rows apart.
        """
        if self._key:
            return self._not_known(rows)
        if in_sequence:
            return rows[self._shared(rows) :]
        left = self._known.copy()
        fresh = []
        for row, identity in zip(rows, self._identities(rows), strict=True):
            if left[identity]:
                left[identity] -= 1
            else:
                fresh.append(row)
        return fresh

    def repeats(self, rows: list[Row]) -> int:
        """How many rows of one answer repeat another of it."""
        if not self._key:
            return 0
        identities = self._identities(rows)
        return len(identities) - len(set(identities))

    def _not_known(self, rows: list[Row]) -> list[Row]:
        """The rows that are new, each once (docs/acumatica.md, "Paging")."""
        if self.repeats(rows):
            self._require_equal(rows)
        elif not self.overlaps(rows):
            return rows
        seen = set(self._known)
        fresh = []
        for row, identity in zip(rows, self._identities(rows), strict=True):
            if identity not in seen:
                seen.add(identity)
                fresh.append(row)
        return fresh

    def _require_equal(self, rows: list[Row]) -> None:
        """Refuse rows of one answer that differ, but not in what they are known by."""
        seen: dict[Any, Row] = {}
        for row, identity in zip(rows, self._identities(rows), strict=True):
            other = seen.setdefault(identity, row)
            if other is not row and _content(other) != _content(row):
                message = (
                    f"Two rows of {self._table.entity_set} have the same {', '.join(self._key)}: "
                    "name more columns as its key, in the catalog or, for an inquiry, in "
                    "inquiry_keys before discovery."
                )
                raise InconsistentAnswer(message)

    def _identities(self, rows: list[Row]) -> list[Any]:
        """What the rows of an answer are known by; made once, since it takes time for each row."""
        of, identities = self._answer
        if of is not rows:
            try:
                identities = list(map(self._parts, rows))
            except KeyError:
                identities = [self.identity(row) for row in rows]
            self._answer = (rows, identities)
        return identities

    def _shared(self, rows: list[Row]) -> int:
        """The length of the shortest end of the last page with which the answer begins."""
        identities = self._identities(rows)
        for length in range(1, min(len(identities), len(self._sequence)) + 1):
            if identities[:length] == self._sequence[-length:]:
                return length
        return 0


def _content(row: Row) -> bytes:
    return msgspec.json.encode(row)
