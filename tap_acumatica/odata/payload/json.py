"""Response bodies as pages of rows."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload, InconsistentAnswer
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.payload.page import (
    Page,
    Path,
    Row,
    known,
    other_values,
    refuse_other_case,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Lists = dict[str, "Lists"]
Names = dict[str, "Names"]


_ANYTHING: Final = msgspec.json.Decoder(float_hook=Decimal)

_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
"""Escapes in JSON; the group is half of a character, of which the other half is missing."""


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
        self._names = _names({name: edm_type.schema for name, edm_type in columns.items()})
        self._missed: set[frozenset[Path]] = set()
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
        self._refuse_other_case(rows, body)
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
            if row.get(name + edm.NEXT_LINK_SUFFIX) is not None:
                message = (
                    f"Acumatica sent only a part of {name} with a row of {self._entity_set}: take "
                    "it out of the setting expand, and read the related entity as a stream."
                )
                raise InconsistentAnswer(message)
            value = row.get(name)
            for each in value if isinstance(value, list) else [value]:
                if within and each:
                    self._check_whole(each, within)

    def _refuse_other_case(self, rows: list[Row], body: bytes) -> None:
        """Look at the names as they came, where rows lack some that were asked for."""
        missing = frozenset(_missing(rows, self._names))
        if missing and missing not in self._missed:
            self._missed.add(missing)
            sent = self._decode(_ANYTHING, body)["value"]
            for path in missing:
                refuse_other_case(self._entity_set, path, _others(sent, path, self._names))

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


def _names(columns: Mapping[str, edm.Schema]) -> Names:
    """The columns, each with those within."""
    return {
        name: _names(schema.get("items", schema).get("properties", {}))
        for name, schema in columns.items()
    }


def _missing(rows: list[Row], names: Names) -> set[Path]:
    """The columns that the first row lacks, or what is within a column where it first comes."""
    if not rows:
        return set()
    missing: set[Path] = {(name,) for name in names.keys() - rows[0].keys()}
    for name, within in names.items():
        if within:
            parts = next((found for row in rows if (found := _parts(row, name))), [])
            missing |= {(name, *path) for path in _missing(parts, within)}
    return missing


def _parts(row: Row, name: str) -> list[Row]:
    """What is within a column: one object, or those of a list."""
    value = row.get(name)
    return [each for each in (value if isinstance(value, list) else [value]) if each is not None]


def _others(rows: list[Row], path: Path, names: Names) -> set[str]:
    """The names that came where a path ends, and were not asked for."""
    for name in path[:-1]:
        rows = [part for row in rows for part in _parts(row, name)]
        names = names[name]
    return {name for row in rows for name in row} - names.keys()


_WITHOUT_VALUE: Final = "an object without rows"
