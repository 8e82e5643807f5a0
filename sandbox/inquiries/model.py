"""An inquiry: a query over the tables of the data access classes, under a title of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sandbox.filters import text_literal
from sandbox.model import EntityType, Property
from sandbox.store import VISIBLE, identifier, joined, type_flag
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
        title: Also the name of its entity set.
        source: FROM clause; ``{Customer}`` stands for the rows of a class.
        listed: A column a line, ``Name:code = expression``. Behind the code ``*`` marks a key
            that is a result, ``+`` a key that is none and is appended, ``~`` a formula.
        where: Condition; ``:Name`` stands for a parameter.
        parameters: What has to be bound before it shows anything.
        broken: Whether each answer is 200 with an empty body.
    """

    title: str
    source: str
    listed: str
    where: str = "1"
    group: str = ""
    parameters: tuple[Parameter, ...] = ()
    broken: bool = False

    @property
    def type_name(self) -> str:
        """The name of its entity type: what of the title may stand in an identifier."""
        found = re.sub(r"\W", "", self.title)
        return "_" + found if found[:1].isdigit() else found

    @property
    def function(self) -> str:
        """The name under which it takes parameters."""
        return f"{self.type_name}_WithParameters"

    @cached_property
    def _columns(self) -> tuple[re.Match[str], ...]:
        lines = [line.strip() for line in self.listed.strip().splitlines()]
        return tuple(found for line in lines if (found := COLUMN.fullmatch(line)))

    def marked(self, mark: str) -> tuple[str, ...]:
        """The columns with a mark."""
        return tuple(each["name"] for each in self._columns if mark in each["marks"])

    @cached_property
    def entity_type(self) -> EntityType:
        """Its rows as a type."""
        return EntityType(
            f"GenericInquiry.{self.type_name}",
            own_key=(*self.marked("*"), *self.marked("+")),
            properties=tuple(
                Property(
                    each["name"],
                    CODES[each["code"]],
                    instant=each["code"] == "t",
                    formula="~" in each["marks"],
                )
                for each in self._columns
            ),
            sets=(self.title,),
        )

    def sql(
        self, store: Store, tenant: str, values: Mapping[str, str], *, with_appended: bool = False
    ) -> str:
        """A subquery with its rows.

        Args:
            store: The tables.
            tenant: Whose.
            values: SQL text of each parameter.
            with_appended: A filter or order names an appended column: then rows come, too, that
                the inquiry itself leaves out.
        """
        chosen = ",".join(
            f"{each['expression']} AS {identifier(each['name'])}" for each in self._columns
        )
        bound = PARAMETER.sub(lambda found: values[found[1]], self.where)
        where = "WHERE " + ("1" if with_appended else bound)
        group = f"GROUP BY {self.group}" if self.group else ""
        source = CLASS.sub(lambda found: rows_of(store, tenant, found[1]), self.source)
        return "(" + joined("SELECT", chosen, "FROM", source, where, group) + ")"


def rows_of(store: Store, tenant: str, class_name: str) -> str:
    """A subquery with the visible rows of a class."""
    entity_type = next(each for each in store.model.types if each.short_name == class_name)
    parts = [f"{identifier(type_flag(each))}=1" for each in entity_type.bases[-1:]]
    now = text_literal(instant(store.clock.now()))
    if store.hidden_rows:
        parts.append(f"({VISIBLE} IS NULL OR {VISIBLE}<={now})")
    where = " AND ".join(parts)
    table = store.table(entity_type, tenant)
    return "(" + joined("SELECT * FROM", table, "WHERE", where) + ")" if parts else table
