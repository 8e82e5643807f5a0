"""``$expand``: the parsed option, and related rows as SQL expressions that make JSON."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.errors import Refusal, unknown_property
from sandbox.store import identifier, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.model import EntityType, Model, Navigation

MAX_DEPTH = 3  # the default in Acumatica's Web.config


@dataclass(frozen=True)
class Expanded:
    """A navigation property that a query expands.

    Attributes:
        source: Type that has the property.
        target: Type that the property leads to.
        options: Nested query options.
        nested: Navigation properties expanded in the related rows.
    """

    source: EntityType
    navigation: Navigation
    target: EntityType
    options: Mapping[str, str]
    nested: tuple[Expanded, ...]

    @property
    def context(self) -> str:
        """Entry in the select list of the context URL; empty if there is no ``$select``."""
        names = self.options.get("$select", "").split(",")
        select_list = ",".join(filter(None, [*names, *(item.context for item in self.nested)]))
        return f"{self.navigation.name}({select_list})" if select_list else ""


def split_list(text: str, separator: str) -> Iterator[str]:
    """Split a list at the separators outside parentheses.

    Raises:
        Refusal: The parentheses are unbalanced.
    """
    depth = start = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == separator and not depth:
            yield text[start:at].strip()
            start = at + 1
    if depth:
        message = f"Syntax error at position {len(text)} in '{text}'."
        raise Refusal(message, HTTPStatus.BAD_REQUEST)
    yield text[start:].strip()


def parse_expand(
    model: Model, entity_type: EntityType, text: str, depth: int = 1
) -> tuple[Expanded, ...]:
    """Parse the value of an ``$expand``.

    Raises:
        Refusal: The type has no such navigation property, or an option is not supported.
    """
    if depth > MAX_DEPTH:
        message = (
            "The request includes a $expand path which is too deep. The maximum depth allowed is "
            f"{MAX_DEPTH}."
        )
        raise Refusal(message, HTTPStatus.BAD_REQUEST)
    expanded = []
    for item in split_list(text, ","):
        name, bracket, rest = item.partition("(")
        if bracket and not rest.endswith(")"):
            message = f"Syntax error at position {len(item)} in '{item}'."
            raise Refusal(message, HTTPStatus.BAD_REQUEST)
        navigation = entity_type.navigations_by_name.get(name.strip().lower())
        if navigation is None:
            raise unknown_property(name, entity_type.name)
        options = {
            option.partition("=")[0].strip(): option.partition("=")[2].strip()
            for option in filter(None, split_list(rest.removesuffix(")"), ";"))
        }
        for option in options.keys() - {"$select", "$expand"}:
            message = f"The query parameter '{option}' is not supported in $expand."
            raise Refusal(message, HTTPStatus.BAD_REQUEST)
        target = model.find(navigation.target)
        inner = options.get("$expand", "")
        nested = parse_expand(model, target, inner, depth + 1) if inner else ()
        expanded.append(Expanded(entity_type, navigation, target, options, nested))
    return tuple(expanded)


def related_sql(  # noqa: PLR0913, PLR0917 - the parts of a query
    expanded: Expanded, body: str, table: str, where: str, level: int, cap: int | None
) -> str:
    """Return the SQL expression of the related row or rows as JSON.

    Args:
        expanded: The navigation property.
        body: SQL expression of one related row.
        table: Table of the related rows.
        where: Further condition on the related rows; may be empty.
        level: Nesting level of the outer query.
        cap: Maximum number of rows in an array, followed by a link to the rest; None for all.
    """
    source, target, navigation = expanded.source, expanded.target, expanded.navigation
    here, there = f"t{level}", f"t{level + 1}"
    conditions = [
        f"{there}.{identifier(target.stored_as(far))}={here}.{identifier(source.stored_as(near))}"
        for near, far in navigation.on
    ]
    where = " AND ".join(filter(None, [*conditions, where]))
    rows = joined("FROM", table, "AS", there, "WHERE", where)
    if not navigation.many:
        return f"coalesce(({joined('SELECT', body, rows, 'LIMIT 1')}),'null')"
    keys = [identifier(target.stored_as(key)) for key in target.key]
    order = "ORDER BY " + ",".join(keys) if keys else ""
    limit = "" if cap is None else f"LIMIT {cap}"
    inner = joined("SELECT", body, "AS j", rows, order, limit)
    items = joined("SELECT group_concat(j,',') FROM (", inner, ")")
    array = f"'['||coalesce(({items}),'')||']'"
    if cap is None:
        return array
    label = navigation.name
    link = f""",\"{label}@odata.nextLink\":\"{label}?$skip={cap}\""""
    return f"{array}||iif(({joined('SELECT count(*)', rows)})>{cap},'{link}','')"
