"""The place that a read has reached: the rows of its last page, to know them again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_acumatica.odata.payload import Row


class Place:
    """The rows of the last page.

    A row is known again by its key and replication key, since another version of it is another
    row; without a key, by all its columns, as often as the page had it.
    """

    def __init__(self, key: tuple[str, ...], replication_key: str | None) -> None:
        self._key = key
        self._columns = (*key, replication_key) if replication_key else key
        self._known: Counter[Any] = Counter()
        self._sequence: list[Any] = []
        self.last: Any = None
        """Identity of the row to go on from."""

    @property
    def size(self) -> int:
        """How many rows the page had."""
        return len(self._sequence)

    def identity(self, row: Row) -> Any:  # noqa: ANN401 - whatever tells rows apart
        """What a row is known by."""
        if self._key:
            return tuple([row.get(name) for name in self._columns])
        return msgspec.json.encode(row)

    def knows(self, row: Row) -> bool:
        """Whether the last page had this row."""
        return self.identity(row) in self._known

    def move(self, rows: list[Row]) -> None:
        """These rows are the last page now."""
        self._sequence = [self.identity(row) for row in rows]
        self._known = Counter(self._sequence)
        self.last = self._sequence[-1] if rows else None

    def forget(self) -> None:
        """Know no row any more."""
        self.move([])

    def fresh(self, rows: list[Row], *, in_sequence: bool = False) -> list[Row]:
        """The rows that the last page did not have.

        Args:
            rows: Of the next answer.
            in_sequence: The answer starts at the end of the last page. Rows without a key are
                then only known where the page ends as the answer begins: equal rows elsewhere
                are others.
        """
        if self._key:
            return [row for row in self.without_repeats(rows) if not self.knows(row)]
        if in_sequence:
            return rows[self._shared(rows) :]
        left = self._known.copy()
        fresh = []
        for row in rows:
            identity = self.identity(row)
            if left[identity]:
                left[identity] -= 1
            else:
                fresh.append(row)
        return fresh

    def without_repeats(self, rows: list[Row]) -> list[Row]:
        """The rows of one answer without those that it has twice (docs/acumatica.md, "Paging")."""
        if not self._key or not self.repeats(rows):
            return rows
        seen: dict[Any, Row] = {}
        return [row for row in rows if seen.setdefault(self.identity(row), row) is row]

    def repeats(self, rows: Iterable[Row]) -> int:
        """How many rows of one answer repeat another of it."""
        if not self._key:
            return 0
        identities = [self.identity(row) for row in rows]
        return len(identities) - len(set(identities))

    def _shared(self, rows: list[Row]) -> int:
        """The length of the shortest end of the last page with which the answer begins."""
        identities = [self.identity(row) for row in rows]
        for length in range(1, min(len(identities), len(self._sequence)) + 1):
            if identities[:length] == self._sequence[-length:]:
                return length
        return 0
