"""The entity that a read asks for, and the queries that it asks with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tap_acumatica.odata import edm
from tap_acumatica.odata.dialect import JSON, Format, ODataVersion
from tap_acumatica.odata.query import Query, all_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.query import Call


@dataclass(frozen=True, slots=True)
class Table:
    """An entity set as a pager sees it."""

    entity_set: str
    columns: Mapping[str, edm.EdmType]
    """The columns to read, with their types."""
    key: tuple[str, ...] = ()
    """What tells rows apart; empty where nothing does."""
    order: tuple[str, ...] = ()
    """Columns to order by where there is no key; empty leaves it to the server."""
    replication_key: str | None = None
    select: bool = True
    """Whether the columns may be named in `$select`."""
    singleton: bool = False
    """Whether it is one object, not a set."""
    expand: tuple[Expansion, ...] = ()
    """How the columns that are related records are asked for."""
    format: Format = JSON
    protocol: ODataVersion = ODataVersion.V4
    inquiry: bool = False
    """Whether it is a generic inquiry, which cannot be counted."""
    call: Call | None = None
    """How its parameters are given, where it has some."""

    @property
    def optional_columns(self) -> set[str]:
        """The columns that a read can do without."""
        return self.columns.keys() - {*self.key, self.replication_key}

    def without(self, column: str | None) -> Table:
        """The same without a column."""
        columns = {name: type_ for name, type_ in self.columns.items() if name != column}
        return replace(self, columns=columns)

    def query(self, *conditions: str, orderby: tuple[str, ...] = ()) -> Query:
        """A query for the columns of the rows that fit all conditions."""
        expand = tuple(each for each in self.expand if each.name in self.columns)
        related = {each.name for each in expand}
        select = tuple(name for name in self.columns if name not in related) if self.select else ()
        return Query(
            self.entity_set,
            select,
            all_of(*conditions),
            orderby,
            expand=expand,
            format=self.format,
            protocol=self.protocol,
            call=self.call,
        )

    def literal(self, name: str, value: Any) -> str:  # noqa: ANN401 - of the column's type
        """A value of a column as it is written in a condition."""
        if value is None:
            return "null"
        return self.columns[name].literal_for(value, self.protocol)

    def instant(self, moment: datetime) -> str:
        """An instant as it is written in a condition."""
        return edm.instant_literal(moment, self.protocol)
