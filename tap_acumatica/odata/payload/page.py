"""A page of rows, the same for every payload format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote

from tap_acumatica.odata.errors import InconsistentAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_acumatica.odata import edm

Row = dict[str, Any]
Path = tuple[str, ...]

SET_NAME: Final = re.compile(r"[^(/@]*?(?=[(/@]|&\$|$)")
"""Matches the name of a set in front of its columns, a key or other options."""

COLUMNS_OF_SET: Final = re.compile(r"[^(/@]+\((.+)\)(?:/\$entity)?")
"""Matches a set with its columns; the group lists them, with those within them in parentheses."""

PARENTHESES: Final = re.compile(r"([()])")

ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
"""Matches the names that a set may have beside the generated one, which has underscores."""


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one response, in the server's order.

    Attributes:
        rows: Without columns that were not requested. Numbers are int or Decimal, instants text.
        count: `@odata.count`: number of rows that match the filter, regardless of `$top` and
            `$skip`.
        next_link: `@odata.nextLink`, or `odata.nextLink` in OData 3, unchanged: the server has
            more rows.
        unrequested: Columns that the rows have without having been requested. They are only looked
            for if the first row lacks columns that were requested.
        selected: The columns that the response says it has, in lower case; None if it does not say.
    """

    rows: list[Row]
    count: int | None = None
    next_link: str | None = None
    unrequested: frozenset[str] = frozenset()
    selected: frozenset[str] | None = None


class Decoder(Protocol):
    """Decodes the response bodies for one entity."""

    def page(self, body: bytes) -> Page:
        """Decode a page of an entity set."""
        ...

    def singleton(self, body: bytes) -> Page:
        """Decode the one object of a singleton, as a page of one row, or of none."""
        ...


def refuse_other_case(entity_set: str, path: Path, unrequested: Iterable[str]) -> None:
    """Refuse a missing column that was sent under a name in another case.

    The server accepts names in any case in a query, but sends them in one (docs/acumatica.md).

    Args:
        entity_set: The entity that was requested.
        path: Path of the missing column.
        unrequested: Names of columns that were sent without being requested.

    Raises:
        InconsistentAnswer: One of these names differs from the column's name only in case.
    """
    for name in unrequested:
        if name.casefold() == path[-1].casefold():
            message = (
                f"Acumatica sends the column {'/'.join(path)} of {entity_set} as {name}: run "
                "discovery again."
            )
            raise InconsistentAnswer(message)


def refuse_other_set(entity_set: str, sent: str) -> None:
    """Refuse an answer that names another set than the one that was requested.

    Only what is surely another set is refused: names are compared without regard to case and to
    characters that identifiers cannot have, since inquiries have titles and names made from them.
    Names of types, and aliases of a set with a generated name, are not compared; nor is a generated
    name with the class name at its end.

    Args:
        entity_set: The entity that was requested.
        sent: The set's name in the answer, encoded, with what may follow it; or anything else.

    Raises:
        InconsistentAnswer: The answer is one to another request.
    """
    name, expected = _set_name(unquote(sent)), _set_name(entity_set)
    is_type = name == "Collection" or ("." in name and "." not in expected)
    is_alias = "_" in expected and ALIAS.fullmatch(name)
    is_generated = name.lower().endswith(f"_{expected.lower()}")
    if not name or name.startswith("$") or is_type or is_alias or is_generated:
        return
    if _squeezed(name) == _squeezed(expected):
        return
    raise of_another(entity_set, f"of {name}")


def selected_columns(entity_set: str, sent: str) -> frozenset[str] | None:
    """Return the columns that an answer names behind its set, in lower case, or None.

    Args:
        entity_set: The entity that was requested; if its own name has parentheses, nothing is sure.
        sent: The set's name in the answer, as in `refuse_other_set`.
    """
    match = COLUMNS_OF_SET.fullmatch(unquote(sent))
    if match is None or "(" in entity_set:
        return None
    outside, depth = [], 0
    for part in PARENTHESES.split(match[1]):
        depth += {"(": 1, ")": -1}.get(part, 0)
        if depth == 0 and part != ")":
            outside.append(part)
    columns = frozenset(name.strip().lower() for name in "".join(outside).split(","))
    return None if depth or "*" in columns or "" in columns else columns


def _set_name(text: str) -> str:
    match = SET_NAME.match(text)
    return match[0].strip() if match else text


def _squeezed(name: str) -> str:
    return re.sub(r"\W", "", name).casefold().removesuffix("_withparameters").strip("_")


def of_another(entity_set: str, difference: str) -> InconsistentAnswer:
    """Return the error for an answer that belongs to another request."""
    return InconsistentAnswer(
        f"Acumatica answered the request for {entity_set} with rows {difference:.300}: run the tap "
        "again; if the error persists, check what stands between this machine and the site."
    )


def require_columns(
    rows: list[Row], entity_set: str, columns: Mapping[str, edm.EdmType]
) -> list[Row]:
    """Return the rows, if each has at least one of the columns.

    Raises:
        InconsistentAnswer: A row has none of them.
    """
    if columns and not all(rows):
        message = (
            f"Acumatica sent rows of {entity_set} with none of the columns in the catalog: run "
            "discovery again."
        )
        raise InconsistentAnswer(message)
    return rows


def unexpected_values(entity_set: str, error: Exception) -> InconsistentAnswer:
    """Return the error for values that do not fit their columns."""
    return InconsistentAnswer(
        f"Acumatica sent values of {entity_set} that do not fit the catalog ({error}): run "
        "discovery again."
    )
