"""Response bodies as pages of rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload, InconsistentAnswer
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, Any]
Lists = dict[str, "Lists"]


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


class _Names(msgspec.Struct):
    """The names of the columns of each row, and their values unread."""

    value: list[dict[str, msgspec.Raw]]


_NAMES: Final = msgspec.json.Decoder(_Names)

_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
"""Escapes in JSON; the group is half of a character, of which the other half is missing."""


class Decoder(Protocol):
    """Makes pages of the answers for one entity."""

    def page(self, body: bytes) -> Page:
        """A page of an entity set."""
        ...

    def singleton(self, body: bytes) -> Page:
        """The one object of a singleton, as a page of one row."""
        ...


class JsonDecoder:
    """Decodes the JSON answers for one entity, values checked and converted on the way.

    Numbers never pass through a float, and may come as numbers or as strings of digits.
    """

    def __init__(
        self,
        entity_set: str,
        columns: Mapping[str, edm.EdmType],
        required: Iterable[str] = (),
    ) -> None:
        """Prepare to decode.

        Args:
            entity_set: For the sentences of errors.
            columns: What rows may have.
            required: Columns without which a row cannot be read.
        """
        self._entity_set = entity_set
        self._columns = columns
        self._lists = _lists({name: edm_type.schema for name, edm_type in columns.items()})
        self._missed: set[frozenset[str]] = set()
        self._told_of_halves = False
        row = edm.row_type(columns, required)
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
        rows = self._known(envelope.value)
        if rows and (missing := self._columns.keys() - rows[0].keys()):
            self._refuse_other_case(frozenset(missing), body)
        return Page(rows, envelope.count, envelope.next_link or envelope.older_link)

    def singleton(self, body: bytes) -> Page:
        """The one object of a singleton, as a page of one row."""
        envelope = self._decode(self._envelope, body)
        if envelope.value is not msgspec.UNSET:
            return Page(self._known(envelope.value))
        return Page(self._known([self._decode(self._row, body)]))

    def _known(self, rows: list[Row]) -> list[Row]:
        if self._lists:
            for row in rows:
                self._check_whole(row, self._lists)
        return known(rows, self._entity_set, self._columns)

    def _check_whole(self, row: Row, lists: Lists) -> None:
        """Refuse lists of which the server kept the rest back."""
        for name, within in lists.items():
            if row.get(name + edm.GOES_ON) is not None:
                message = (
                    f"Acumatica sent only a part of {name} with a row of {self._entity_set}: take "
                    "it out of the setting expand, and read the related entity as a stream."
                )
                raise InconsistentAnswer(message)
            value = row.get(name)
            for each in value if isinstance(value, list) else [value]:
                if within and each:
                    self._check_whole(each, within)

    def _refuse_other_case(self, missing: frozenset[str], body: bytes) -> None:
        """Names in a query are found in any case, but rows have them in one (docs/acumatica.md)."""
        if missing in self._missed:
            return
        self._missed.add(missing)
        sent = self._decode(_NAMES, body).value[0].keys() - self._columns.keys()
        by_letters = {name.casefold(): name for name in sent}
        for name in missing:
            if other := by_letters.get(name.casefold()):
                message = (
                    f"Acumatica sends the column {name} of {self._entity_set} as {other}: "
                    "run discovery again."
                )
                raise InconsistentAnswer(message)

    def _decode(self, decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:  # noqa: ANN401
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise other_values(self._entity_set, error) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            whole = _ESCAPES.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], body)
            if whole == body:
                raise BrokenPayload(str(error)) from error
        decoded = self._decode(decoder, whole)
        if not self._told_of_halves:
            self._told_of_halves = True
            logger.warning(
                "%s has texts with half a character, as they were cut off within it: U+FFFD takes "
                "its place.",
                self._entity_set,
            )
        return decoded


def _lists(columns: Mapping[str, edm.Schema]) -> Lists:
    """The columns that are lists, or have some within."""
    found = {}
    for name, schema in columns.items():
        within = _lists(schema.get("items", schema).get("properties", {}))
        if within or "items" in schema:
            found[name] = within
    return found


_WITHOUT_VALUE: Final = "an object without rows"


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
