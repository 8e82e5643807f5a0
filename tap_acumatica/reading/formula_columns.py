"""What only reading an inquiry shows: which of its columns are formulas.

No filter and no order can use a formula, and nothing tells it before: the server answers such a
query with nothing at all (docs/acumatica.md, "Inquiries").
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
    """Finds the columns of an inquiry by which it can be sorted."""

    def __init__(self, table: Table, ask: Callable[[Query], Result[Page]]) -> None:
        self._table = table
        self._ask = ask

    def removed(self, failed: RequestFailed) -> Table:
        """The inquiry to be read without its formulas.

        Raises:
            RequestFailed: They are not what is in the way.
        """
        table = self._table
        named = {table.replication_key, *table.key, *table.order}
        suspects = [name for name in table.columns if name in named]
        if not self._sorts([]):
            raise failed
        sortable = set(self._sortable(suspects))
        if len(sortable) == len(suspects):
            raise failed
        formulas = [name for name in suspects if name not in sortable]
        logger.warning(
            "%s cannot be sorted by %s, which seem to be formulas.",
            table.entity_set,
            ", ".join(formulas),
        )
        dated = table.replication_key in sortable
        if table.replication_key and not dated:
            logger.warning(
                "%s is read in full, since its replication key %s cannot be filtered.",
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
        """Those of the names that can be sorted by, tried by halves: formulas are few."""
        if not names:
            return
        if self._sorts(names):
            yield from names
        elif len(names) > 1:
            middle = len(names) // 2
            yield from self._sortable(names[:middle])
            yield from self._sortable(names[middle:])

    def _sorts(self, names: Sequence[str]) -> bool:
        try:
            self._ask(replace(self._table.query(orderby=tuple(names)), top=1))
        except RequestFailed as failed:
            if failed.action is not Action.REPHRASE:
                raise
            return False
        return True
