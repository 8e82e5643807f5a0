"""A generic inquiry: a titled query over the tables of the data access classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sandbox.filters import text_literal
from sandbox.model import EntityType, Property
from sandbox.store import HIDDEN, VISIBLE, identifier, joined, type_flag
from sandbox.values import instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.store import Store

CODES = {
    "b": "Edm.Boolean",
    "d": "Edm.Decimal",
    "g": "Edm.Guid",
    "i": "Edm.Int32",
    "s": "Edm.String",
    "t": "Edm.DateTimeOffset",  # an instant
    "day": "Edm.DateTimeOffset",  # a business date, at midnight
}
OLDER_TYPES = {"Edm.DateTimeOffset": "Edm.DateTime"}
CLASS = re.compile(r"\{(\w+)\}")
PARAMETER = re.compile(r":(\w+)")
COLUMN = re.compile(r"(?P<name>\S+):(?P<code>\w+)(?P<marks>[*+~]*) = (?P<expression>.+)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an inquiry."""

    name: str
    type: str = "Edm.String"


@dataclass(frozen=True, eq=False)
class Inquiry:
    """A generic inquiry.

    Attributes:
        title: Title of the inquiry, and name of its entity set.
        source: FROM clause; ``{Customer}`` stands for the rows of a class.
        column_lines: Columns, one per line: ``Name:code = expression``. After the code, ``*`` marks
            a result column that is a key, ``+`` an appended key column, ``~`` a formula.
        where: WHERE condition; ``:Name`` stands for a parameter.
        group: GROUP BY clause; may be empty.
        parameters: Parameters to bind before the inquiry shows any rows.
        broken: Whether every response is 200 with an empty body.
    """

    title: str
    source: str
    column_lines: str
    where: str = "1"
    group: str = ""
    parameters: tuple[Parameter, ...] = ()
    broken: bool = False

    @property
    def type_name(self) -> str:
        """Name of the entity type: the title without the characters an identifier cannot have."""
        name = re.sub(r"\W", "", self.title)
        return "_" + name if name[:1].isdigit() else name

    @property
    def function(self) -> str:
        """Name of the function that takes the inquiry's parameters."""
        return f"{self.type_name}_WithParameters"

    @cached_property
    def _columns(self) -> tuple[re.Match[str], ...]:
        lines = [line.strip() for line in self.column_lines.strip().splitlines()]
        return tuple(match for line in lines if (match := COLUMN.fullmatch(line)))

    def marked(self, mark: str) -> tuple[str, ...]:
        """Return the names of the columns with a mark."""
        return tuple(column["name"] for column in self._columns if mark in column["marks"])

    @cached_property
    def entity_type(self) -> EntityType:
        """Entity type of the inquiry's rows."""
        return EntityType(
            f"GenericInquiry.{self.type_name}",
            own_key=(*self.marked("*"), *self.marked("+")),
            properties=tuple(
                Property(
                    column["name"],
                    CODES[column["code"]],
                    instant=column["code"] == "t",
                    formula="~" in column["marks"],
                )
                for column in self._columns
            ),
            sets=(self.title,),
        )

    def sql(
        self, store: Store, tenant: str, values: Mapping[str, str], *, with_appended: bool = False
    ) -> str:
        """Return a subquery for the inquiry's rows.

        Args:
            store: The tables.
            tenant: Login name of the tenant.
            values: SQL text of each parameter.
            with_appended: Whether a filter or order names an appended column. The rows that the
                inquiry itself excludes are then returned too.
        """
        columns = ",".join(
            f"{column['expression']} AS {identifier(column['name'])}" for column in self._columns
        )
        condition = PARAMETER.sub(lambda match: values[match[1]], self.where)
        where = "WHERE " + ("1" if with_appended else condition)
        group = f"GROUP BY {self.group}" if self.group else ""
        source = CLASS.sub(lambda match: visible_rows(store, tenant, match[1]), self.source)
        return "(" + joined("SELECT", columns, "FROM", source, where, group) + ")"


def visible_rows(store: Store, tenant: str, class_name: str) -> str:
    """Return a subquery for the visible rows of a class."""
    entity_type = next(known for known in store.model.types if known.short_name == class_name)
    conditions = [f"{identifier(type_flag(base))}=1" for base in entity_type.bases[-1:]]
    now = text_literal(instant(store.clock.now()))
    if store.hidden_rows:
        conditions.append(f"({VISIBLE} IS NULL OR {VISIBLE}<={now})")
    if store.marked_rows:
        conditions.append(f"{HIDDEN} = 0")
    where = " AND ".join(conditions)
    table = store.table(entity_type, tenant)
    return "(" + joined("SELECT * FROM", table, "WHERE", where) + ")" if conditions else table
