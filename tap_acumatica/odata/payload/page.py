"""A page of rows, the same for every payload format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tap_acumatica.odata.errors import InconsistentAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_acumatica.odata import edm

Row = dict[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one response, in the server's order.

    Attributes:
        rows: Without columns that were not requested. Numbers are int or Decimal, instants text.
        count: `@odata.count`: number of rows that match the filter, regardless of `$top` and
            `$skip`.
        next_link: `@odata.nextLink`, or `odata.nextLink` in OData 3, unchanged: the server has
            more rows.
    """

    rows: list[Row]
    count: int | None = None
    next_link: str | None = None


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
