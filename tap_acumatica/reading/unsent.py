"""Columns that no row of an answer has: they are gone, or the server leaves nulls out.

A query that names a column that is gone is refused. But where the columns do not fit into a URL,
none is named, and such a column would be null in all records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_acumatica.odata.errors import RequestFailed
from tap_acumatica.odata.http.error_table import COLUMN_IS_GONE
from tap_acumatica.odata.payload.text_rows import TextRow
from tap_acumatica.odata.query import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tap_acumatica.odata.model import Model
    from tap_acumatica.odata.payload.page import Path, Row
    from tap_acumatica.odata.query import Link
    from tap_acumatica.odata.table import Table

ColumnTree = dict[str, "ColumnTree"]
"""Columns by name, each with those within it."""


class UnsentColumns:
    """Looks up the columns of one entity that answers lack, in one look at its metadata."""

    def __init__(self, table: Table, metadata: Callable[[], Model] | None) -> None:
        """Prepare to look.

        Args:
            table: The entity.
            metadata: Requests the metadata; None: columns are not looked up.
        """
        self._entity_set = table.entity_set
        self._metadata = metadata
        self._tree = _tree({name: edm_type.schema for name, edm_type in table.columns.items()})
        self._declared: frozenset[Path] | None = None

    def require_declared(self, query: Query | Link, rows: list[Row]) -> None:
        """Refuse an answer without a column that the entity no longer has.

        Raises:
            RequestFailed: The column is gone, or the metadata did not arrive.
        """
        if self._metadata is None or not rows or isinstance(rows[0], TextRow):  # which lacks none
            return
        tree = self._tree
        if isinstance(query, Query) and query.select:
            names = {*query.select, *(expansion.name for expansion in query.expand)}
            tree = {name: nested for name, nested in tree.items() if name in names}
        for path in _unsent(rows, tree):
            if self._declared is None:
                self._declared = self._look(self._metadata())
            if path not in self._declared:
                cause, action, sentence = COLUMN_IS_GONE
                name = "/".join(path)
                raise RequestFailed(
                    cause,
                    action,
                    sentence.format(column=name, subject=self._entity_set),
                    column=name,
                )

    def _look(self, model: Model) -> frozenset[Path]:
        paths = _paths(self._tree)
        return frozenset(path for path in paths if model.declares(self._entity_set, path))


def _tree(schemas: Mapping[str, Mapping[str, Any]]) -> ColumnTree:
    return {
        name: _tree(schema.get("items", schema).get("properties", {}))
        for name, schema in schemas.items()
    }


def _paths(tree: ColumnTree) -> Iterator[Path]:
    for name, nested in tree.items():
        yield (name,)
        yield from ((name, *path) for path in _paths(nested))


def _unsent(rows: Iterable[Row], tree: ColumnTree) -> Iterator[Path]:
    """Yield the paths of the columns that none of the rows has."""
    for name, nested in tree.items():
        if not any(name in row for row in rows):
            yield (name,)
        elif nested and (objects := _objects(rows, name)):
            yield from ((name, *path) for path in _unsent(objects, nested))


def _objects(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the objects in a column, which holds one object or a list of them."""
    values = (row.get(name) for row in rows)
    items = (item for value in values for item in (value if isinstance(value, list) else [value]))
    return [item for item in items if item is not None]
