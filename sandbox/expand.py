"""``$expand``: related rows as SQL expressions that make JSON."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.errors import Refusal, unknown_property
from sandbox.store import joined, name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.model import EntityType, Model, Navigation

DEEPEST = 3  # as Acumatica's Web.config has it, unless it was changed


@dataclass(frozen=True)
class Expanded:
    """One navigation property of a query."""

    source: EntityType
    navigation: Navigation
    target: EntityType
    options: Mapping[str, str]
    further: tuple[Expanded, ...]

    @property
    def context(self) -> str:
        """What the context URL says of it; empty where nothing was selected."""
        inner = [*self.options.get("$select", "").split(","), *(e.context for e in self.further)]
        listed = ",".join(filter(None, inner))
        return f"{self.navigation.name}({listed})" if listed else ""


def parts(text: str, separator: str) -> Iterator[str]:
    """The parts of a list, but for separators within parentheses.

    Raises:
        Refusal: The parentheses do not fit.
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


def read(model: Model, entity_type: EntityType, text: str, depth: int = 1) -> tuple[Expanded, ...]:
    """The navigation properties that an ``$expand`` asks for.

    Raises:
        Refusal: The type has no such navigation, or an option is not supported.
    """
    if depth > DEEPEST:
        message = (
            "The request includes a $expand path which is too deep. The maximum depth allowed is "
            f"{DEEPEST}."
        )
        raise Refusal(message, HTTPStatus.BAD_REQUEST)
    found = []
    for part in parts(text, ","):
        wanted, bracket, rest = part.partition("(")
        if bracket and not rest.endswith(")"):
            message = f"Syntax error at position {len(part)} in '{part}'."
            raise Refusal(message, HTTPStatus.BAD_REQUEST)
        navigation = entity_type.related.get(wanted.strip().lower())
        if navigation is None:
            raise unknown_property(wanted, entity_type.name)
        options = {
            option.partition("=")[0].strip(): option.partition("=")[2].strip()
            for option in filter(None, parts(rest.removesuffix(")"), ";"))
        }
        for option in options.keys() - {"$select", "$expand"}:
            message = f"The query parameter '{option}' is not supported in $expand."
            raise Refusal(message, HTTPStatus.BAD_REQUEST)
        target = model.find(navigation.target)
        further = options.get("$expand", "")
        deeper = read(model, target, further, depth + 1) if further else ()
        found.append(Expanded(entity_type, navigation, target, options, deeper))
    return tuple(found)


def related_sql(  # noqa: PLR0913, PLR0917 - what a query consists of
    each: Expanded, body: str, table: str, where: str, level: int, cap: int | None
) -> str:
    """The SQL expression of the related row, or rows, as JSON.

    Args:
        each: The navigation property.
        body: The SQL expression of one related row.
        table: Where those are.
        where: What else they have to fulfil; empty for nothing.
        level: How many tables are around.
        cap: How many rows of many come at the most, with a link to the rest; None: all.
    """
    here, there = f"t{level}", f"t{level + 1}"
    conditions = [
        f"{there}.{name(each.target.stored_as(far))}={here}.{name(each.source.stored_as(near))}"
        for near, far in each.navigation.on
    ]
    where = " AND ".join(filter(None, [*conditions, where]))
    rows = joined("FROM", table, "AS", there, "WHERE", where)
    if not each.navigation.many:
        return f"coalesce(({joined('SELECT', body, rows, 'LIMIT 1')}),'null')"
    keys = [name(each.target.stored_as(key)) for key in each.target.key]
    order = "ORDER BY " + ",".join(keys) if keys else ""
    limit = "" if cap is None else f"LIMIT {cap}"
    inner = joined("SELECT", body, "AS j", rows, order, limit)
    listed = joined("SELECT group_concat(j,',') FROM (", inner, ")")
    array = f"'['||coalesce(({listed}),'')||']'"
    if cap is None:
        return array
    label = each.navigation.name
    link = f""",\"{label}@odata.nextLink\":\"{label}?$skip={cap}\""""
    return f"{array}||iif(({joined('SELECT count(*)', rows)})>{cap},'{link}','')"
