"""The table that a read requests, and its queries and literals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from tap_acumatica.odata import edm
from tap_acumatica.odata.dialect import JSON, Format, ODataVersion
from tap_acumatica.odata.query import Query, all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.query import Call


@dataclass(frozen=True, slots=True)
class TextColumns:
    """How the columns of a table are written whose rows may pass as text.

    Attributes:
        key: The columns that identify a row.
        replication_key: The replication key, or None.
        dates: For each column of date-times the function that returns values as they are written.
    """

    key: Sequence[str]
    replication_key: str | None
    dates: Mapping[str, Callable[[Sequence[str]], Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Table:
    """An entity set as a pager sees it."""

    entity_set: str
    columns: Mapping[str, edm.EdmType]
    """The columns to read, with their types."""
    key: tuple[str, ...] = ()
    """The columns that identify a row; empty if none do."""
    order: tuple[str, ...] = ()
    """The columns to order by if there is no key; empty leaves the order to the server."""
    replication_key: str | None = None
    select: bool = True
    """Whether queries name the columns in `$select`."""
    max_order: int | None = None
    """Maximum number of columns in `$orderby`; None for no limit."""
    singleton: bool = False
    """Whether it is a singleton, not an entity set."""
    expand: tuple[Expansion, ...] = ()
    """The expansions behind those columns that hold related records."""
    format: Format = JSON
    protocol: ODataVersion = ODataVersion.V4
    inquiry: bool = False
    """Whether it is a generic inquiry, whose rows cannot be counted."""
    call: Call | None = None
    """The function that is called in place of the set: an inquiry's with its parameters, or the
    set's own, whose rows have no other columns; None if none is."""
    living: bool = False
    """Whether rows that are marked as deleted are left out, whatever the settings say."""
    refused: frozenset[str] = frozenset()
    """Columns that the server refused, here or in related records, so that rows lack them."""
    written: TextColumns | None = None
    """How the columns are written, if rows of JSON may pass as text."""

    @property
    def optional_columns(self) -> set[str]:
        """The columns that a read can go without: all except the key and the replication key."""
        return self.columns.keys() - {*self.key, self.replication_key}

    @property
    def keys_may_tie(self) -> bool:
        """Whether keys that differ may be equal in the server's eyes, since they hold a text."""
        return any(self.columns[name].wire is str for name in self.key)

    def without(self, column: str) -> Table:
        """Return the table without a column that the server refused."""
        columns = {name: type_ for name, type_ in self.columns.items() if name != column}
        return replace(self, columns=columns, refused=self.refused | {column})

    def without_related(self, column: str) -> Table:
        """Return the table without a column that the server refused in related records."""
        expand = tuple(expansion.without(column) for expansion in self.expand)
        return replace(self, expand=expand, refused=self.refused | {column})

    def narrow(self) -> Table:
        """Return the table with only the columns that identify a row and date it.

        Without a key only a column or two are left, so that no row is too large for an answer.
        """
        sorts = (name for name in self.order or self.columns if name in self.columns)
        names = self.key or tuple(islice(sorts, 1))
        if self.replication_key:
            names = (*names, self.replication_key)
        select = not (self.call and self.call.bound_to)
        return replace(self, columns={name: self.columns[name] for name in names}, select=select)

    def query(self, *conditions: str, orderby: tuple[str, ...] = ()) -> Query:
        """Return a query for the table's columns in the rows that satisfy all conditions."""
        expand = tuple(expansion for expansion in self.expand if expansion.name in self.columns)
        related = {expansion.name for expansion in expand}
        select = tuple(name for name in self.columns if name not in related) if self.select else ()
        return Query(
            self.entity_set,
            select,
            all_of(*conditions),
            self._within_limit(orderby),
            expand=expand,
            format=self.format,
            protocol=self.protocol,
            call=self.call,
            living=self.living,
        )

    def _within_limit(self, orderby: tuple[str, ...]) -> tuple[str, ...]:
        if self.max_order is None or len(orderby) <= self.max_order:
            return orderby
        if orderby == self.key and not self.inquiry:
            # Without $orderby the server sorts by the key (docs/acumatica.md, "Paging").
            return ()
        return orderby[: self.max_order]

    def literal(self, name: str, value: Any) -> str:  # noqa: ANN401 - of the column's type
        """Return the literal of a column's value, for a condition."""
        if value is None:
            return "null"
        return self.columns[name].literal_for(value, self.protocol)

    def key_literals(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the literals of a row's key."""
        return tuple([self.literal(name, row[name]) for name in self.key])

    def instant(self, moment: datetime) -> str:
        """Return the literal of an instant, for a condition."""
        return edm.instant_literal(moment, self.protocol)
