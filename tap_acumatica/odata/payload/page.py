"""A page of rows, as every format gives it."""

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
    """The rows of one answer, in the server's order.

    Attributes:
        rows: Columns that were not asked for are left out; numbers are int or Decimal, instants
            text.
        count: `@odata.count`: rows that fit the filter, whatever `$top` and `$skip` say.
        next_link: `@odata.nextLink`, or `odata.nextLink` in OData 3, as it came: the server has
            more rows.
    """

    rows: list[Row]
    count: int | None = None
    next_link: str | None = None


class Decoder(Protocol):
    """Makes pages of the answers for one entity."""

    def page(self, body: bytes) -> Page:
        """A page of an entity set."""
        ...

    def singleton(self, body: bytes) -> Page:
        """The one object of a singleton, as a page of one row."""
        ...


def refuse_other_case(entity_set: str, path: Path, others: Iterable[str]) -> None:
    """Refuse a column that came in another case, given what came without being asked for.

    Names in a query are found in any case, but rows have them in one (docs/acumatica.md).

    Raises:
        InconsistentAnswer: It did.
    """
    for other in others:
        if other.casefold() == path[-1].casefold():
            message = (
                f"Acumatica sends the column {'/'.join(path)} of {entity_set} as {other}: run "
                "discovery again."
            )
            raise InconsistentAnswer(message)


def known(rows: list[Row], entity_set: str, columns: Mapping[str, edm.EdmType]) -> list[Row]:
    """The rows, of which each has one of the columns at least."""
    if columns and not all(rows):
        message = (
            f"Acumatica sent rows of {entity_set} with none of the columns that the catalog says: "
            "run discovery again."
        )
        raise InconsistentAnswer(message)
    return rows


def other_values(entity_set: str, error: Exception) -> InconsistentAnswer:
    """The error of values that do not fit their columns."""
    return InconsistentAnswer(
        f"Acumatica sent {entity_set} with other values than the catalog says ({error}): run "
        "discovery again."
    )
