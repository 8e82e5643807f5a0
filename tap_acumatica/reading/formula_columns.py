"""Finds out which columns of an inquiry are formulas, which only reading it can show.

Filters and orders cannot use a formula, but the metadata do not tell formulas from other columns:
the server answers such a query with an empty body (docs/acumatica.md, "Inquiries").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.payload.page import Page
    from tap_acumatica.odata.query import Query
    from tap_acumatica.odata.table import Table


class FormulaColumns:
    """Finds the columns of an inquiry that cannot be sorted by."""

    def __init__(self, table: Table, ask: Callable[[Query], Result[Page]]) -> None:
        self._table = table
        self._ask = ask

    def removed(self, failed: RequestFailed) -> Table:
        """Return the inquiry without formulas in its key, order and replication key.

        Args:
            failed: The refusal of the first query.

        Raises:
            RequestFailed: The same, if formulas are not its cause.
        """
        table = self._table
        used = {table.replication_key, *table.key, *table.order}
        suspects = [name for name in table.columns if name in used]
        if not self._can_sort_by([]):
            raise failed
        sortable = set(self._sortable(suspects))
        if len(sortable) == len(suspects):
            raise failed
        formulas = [name for name in suspects if name not in sortable]
        logger.warning(
            "%s cannot be sorted by columns that seem to be formulas: %s.",
            table.entity_set,
            ", ".join(formulas),
        )
        dated = table.replication_key in sortable
        if table.replication_key and not dated:
            logger.warning(
                "%s is read in full, since its replication key %s cannot be filtered by.",
                table.entity_set,
                table.replication_key,
            )
        return replace(
            table,
            key=table.key if sortable.issuperset(table.key) else (),
            order=tuple(name for name in table.order if name in sortable),
            replication_key=table.replication_key if dated else None,
        )

    def _sortable(self, names: Sequence[str]) -> Iterator[str]:
        """Yield the names that can be sorted by; tried by halves, since formulas are few."""
        if not names:
            return
        if self._can_sort_by(names):
            yield from names
        elif len(names) > 1:
            middle = len(names) // 2
            yield from self._sortable(names[:middle])
            yield from self._sortable(names[middle:])

    def _can_sort_by(self, names: Sequence[str]) -> bool:
        try:
            self._ask(replace(self._table.query(orderby=tuple(names)), top=1))
        except RequestFailed as failed:
            if failed.action is not Action.REPHRASE:
                raise
            return False
        return True
