"""Marks the rows that Acumatica keeps, but shows as deleted only under a header.

Few entities show the column that says so, and most of those refuse it in a query. So the rows of a
page are asked for once more, without the header: what does not come is asked for alone, since it
may have changed meanwhile, and what does not come then either is no living row.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.deletions import FLAG, MARK
from tap_acumatica.odata.edm import instant_literal
from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.instants import DISPLAY_MARGIN, minus, plus
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.paging.by_key import KeyPager
from tap_acumatica.reading.pages import EntitySource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import ReadStats
    from tap_acumatica.reading.pages import RowSource

MODIFIED: Final = "LastModifiedDateTime"
"""The date of a row's last change where it is not the replication key."""

ROOM: Final = 2
"""How many times as many rows as a page has are requested in its place: others may stand there."""


class SoftDeletes:
    """Marks the deleted rows of one entity, with a date; all others with null."""

    def __init__(
        self, table: Table, source: RowSource, stats: ReadStats, instants: InstantReader
    ) -> None:
        self._table = table
        self._living = replace(table.narrow(), living=True, refused=frozenset())
        self._source = EntitySource(source, self._living, stats)
        self._instants = instants
        dates = (table.replication_key, MODIFIED)
        self._date = next((name for name in dates if name and name in table.columns), None)
        self._tells = True

    def mark(self, rows: Iterable[Row], seen: datetime | None) -> None:
        """Mark these rows, all of one page and in its order.

        Args:
            rows: The rows.
            seen: The server's time when it sent them, or None.
        """
        rows = list(rows)
        deleted = self._deleted(rows) if rows and self._tells else []
        for row in rows:
            row[MARK] = None
        for row in deleted:
            date = row.get(self._date) if self._date else None
            row[MARK] = date or (instant_literal(seen) if seen else None)

    def _deleted(self, rows: list[Row]) -> list[Row]:
        if all(row.get(FLAG) is not None for row in rows):
            return [row for row in rows if row[FLAG]]
        conditions = list(self._range(rows))
        try:
            if conditions:
                living = self._keys(conditions, ROOM * len(rows))
                unseen = (row for row in rows if self._key(row) not in living)
                return [row for row in unseen if not self._is_living(row)]
        except RequestFailed as failed:
            if failed.action is not Action.REPHRASE:
                raise
            logger.warning("%s", failed)
        message = (
            f"Rows of {self._table.entity_set} that are marked as deleted arrive as if they were "
            "living, since they cannot be asked for by key or date: unset include_deleted, or take "
            "the stream's deletions from another road."
        )
        logger.warning("%s", message)
        self._tells = False
        return []

    def _range(self, rows: list[Row]) -> Iterator[str]:
        """Yield conditions that the rows of a page satisfy, and few others; none if there are none.

        Rows of one instant, such as those of a bulk update, can be more than fit into a page; they
        are in order of their key.
        """
        first, last = rows[0], rows[-1]
        name = self._table.replication_key
        dates = [row[name] for row in rows if row[name] is not None] if name else []
        instants = list(map(self._instants.read, dates))
        # A page of a full read is in order of the key.
        is_dated = len(dates) == len(rows) and instants == sorted(instants)
        if is_dated:
            low, high = minus(instants[0]), plus(instants[-1], DISPLAY_MARGIN)
            yield f"{name} ge {self._table.instant(low)}"
            yield f"{name} le {self._table.instant(high)}"
        keyed = KeyPager.suits(self._table) and None not in (*self._key(first), *self._key(last))
        if keyed and (not is_dated or dates[0] == dates[-1]):
            yield self._bound(first, "gt")
            yield self._bound(last, "lt")

    def _bound(self, row: Row, operator: str) -> str:
        """Return the condition for the rows from this one on, or up to it, in the key's order."""
        literals = [(name, self._table.literal(name, row[name])) for name in self._table.key]
        inclusive = operator.replace("t", "e")
        alternatives = []
        for index, (name, literal) in enumerate(literals):
            equal = [f"{column} eq {value}" for column, value in literals[:index]]
            beyond = inclusive if index == len(literals) - 1 else operator
            alternatives.append(" and ".join([*equal, f"{name} {beyond} {literal}"]))
        return "(" + " or ".join(f"({each})" for each in alternatives) + ")"

    def _keys(self, conditions: Iterable[str], size: int) -> set[tuple[Any, ...]]:
        """Return the keys of living rows that satisfy the conditions, as far as one answer goes."""
        name = self._table.replication_key
        order = (*([name] if name else []), *(key for key in self._table.key if key != name))
        query = replace(self._living.query(*conditions, orderby=order), top=size)
        try:
            result = self._source.ask(query)
        except RequestFailed as failed:
            if failed.limit is None:
                raise
            if failed.limits == "$top":
                query = replace(query, top=failed.limit)
            else:
                query = replace(query, orderby=query.orderby[: failed.limit])
            result = self._source.ask(query)
        return {self._key(row) for row in result.content.rows}

    def _is_living(self, row: Row) -> bool:
        literals = {name: self._table.literal(name, row[name]) for name in self._table.key}
        conditions = (f"{name} eq {literal}" for name, literal in literals.items())
        return bool(self._source.ask(replace(self._living.query(*conditions), top=1)).content.rows)

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple([row[name] for name in self._table.key])
