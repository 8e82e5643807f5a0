"""Response bodies as pages of rows."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload, InconsistentAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]


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


class JsonDecoder:
    """Decodes the JSON answers for one entity, values checked and converted on the way.

    Numbers never pass through a float, and may come as numbers or as strings of digits.
    """

    def __init__(self, entity_set: str, columns: Mapping[str, edm.EdmType]) -> None:
        self._entity_set = entity_set
        self._columns = columns
        row = edm.row_type(columns)
        envelope = msgspec.defstruct(
            "Envelope",
            [
                ("value", list[row] | msgspec.UnsetType, msgspec.UNSET),  # type: ignore[valid-type]
                ("count", int | None, msgspec.field(name="@odata.count", default=None)),
                ("next_link", str | None, msgspec.field(name="@odata.nextLink", default=None)),
                ("older_link", str | None, msgspec.field(name="odata.nextLink", default=None)),
            ],
        )
        self._envelope = msgspec.json.Decoder(envelope, strict=False, float_hook=Decimal)
        self._row: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            row, strict=False, float_hook=Decimal
        )

    def page(self, body: bytes) -> Page:
        """A page of an entity set.

        Raises:
            BrokenPayload: No JSON, or cut off.
            InconsistentAnswer: JSON, but not the columns of this entity.
        """
        envelope = self._decode(self._envelope, body)
        if envelope.value is msgspec.UNSET:
            raise BrokenPayload(_WITHOUT_VALUE)
        link = envelope.next_link or envelope.older_link
        return Page(self._known(envelope.value), envelope.count, link)

    def singleton(self, body: bytes) -> Page:
        """The one object of a singleton, as a page of one row."""
        envelope = self._decode(self._envelope, body)
        if envelope.value is not msgspec.UNSET:
            return Page(self._known(envelope.value))
        return Page(self._known([self._decode(self._row, body)]))

    def _known(self, rows: list[Row]) -> list[Row]:
        """The rows, of which each has one of the columns at least."""
        if self._columns and not all(rows):
            message = (
                f"Acumatica sent rows of {self._entity_set} with none of the columns that the "
                "catalog says: run discovery again."
            )
            raise InconsistentAnswer(message)
        return rows

    def _decode(self, decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:  # noqa: ANN401
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            message = (
                f"Acumatica sent {self._entity_set} with other values than the catalog says "
                f"({error}): run discovery again."
            )
            raise InconsistentAnswer(message) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokenPayload(str(error)) from error


_WITHOUT_VALUE: Final = "an object without rows"
