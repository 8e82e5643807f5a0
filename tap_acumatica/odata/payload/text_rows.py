"""Rows as text: what is right as JSON is checked, and passed on instead of being rebuilt.

Most of a read's time would be spent on making, looking up and freeing the values of rows. Here a
row is decoded only to see that it has the columns and types that are expected, and all is dropped
again but the columns that the read itself needs. A page with anything else is left to the decoder
of rows (json.py), which also words the errors. Both lead to the same records.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter, contains
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.edm import Conversion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_acumatica.odata.table import TextColumns

MAX_SETTLED: Final = 10_000
"""Maximum number of date-times of a column that are known to stay as they are."""

MAX_CHANGED: Final = 3
"""Number of successive pages with date-times that change after which no other is tried."""

_WIRES: Final = {Conversion.DECIMAL: float, Conversion.JSON_TEXT: str}
"""Types of a text's values for the check; a float suffices to see that it is a number."""

_RECORD: Final = msgspec.json.Decoder(float_hook=Decimal)


class TextRow(dict[str, Any]):
    """A row that is written as text; as a dict it has only the columns that the read needs.

    Attributes:
        text: The row's JSON, with the replication key as it is written.
    """

    __slots__ = ("text",)

    text: bytes

    def whole(self) -> dict[str, Any]:
        """Return the record that is the text."""
        record: dict[str, Any] = _RECORD.decode(self.text)
        return record

    def add(self, columns: bytes) -> None:
        """Add columns to the text.

        Args:
            columns: Their names and values as JSON, each behind a comma.
        """
        self.text = self.text[:-1] + columns + b"}"


class TextRows:
    """Makes rows of their texts, if each of them can pass.

    Attributes:
        is_worth_trying: Whether a page may pass: a server that shows date-times in another way than
            they are written does so in all pages, and each try decodes the rows in vain.
    """

    def __init__(self, columns: Mapping[str, edm.EdmType], written: TextColumns) -> None:
        """Prepare to check rows, which have to have all of these columns, and no other."""
        self.is_worth_trying = True
        self._changed = 0
        self._replication_key = written.replication_key
        self._rewrite = written.rewrite
        dated = [self._replication_key] if self._replication_key else []
        self._kept = (*written.key, *dated)
        dates = [name for name in columns if name in written.dates]
        self._dates: list[tuple[Callable[[str], str], set[str | None]]] = [
            (written.dates[name], {None}) for name in dates
        ]
        row = _row_type(columns)
        self._decode = msgspec.json.Decoder(row).decode
        fields = {field.encode_name: field.name for field in msgspec.structs.fields(row)}
        names = [*self._kept, *dates]
        # With one name the getter would return no tuple.
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(
            *(fields[name] for name in [*names, *names[:1]])
        )

    def of(self, raws: Sequence[msgspec.Raw]) -> list[TextRow] | None:
        """Return the rows with these texts; None if one of them cannot pass as it is."""
        try:
            # All that is done for each row is done by C code: this is where the time is spent.
            values = [*map(self._values, map(self._decode, raws))]
            columns = [*zip(*values, strict=True)]
            if not self._stay(columns[len(self._kept) :]):
                self._changed += 1
                self.is_worth_trying = self._changed < MAX_CHANGED
                return None
            self._changed = 0
            texts: Sequence[bytes] = [*map(bytes, raws)]
            if values and self._replication_key:
                texts = self._redated(texts, columns[len(self._kept) - 1])
        except (ValueError, TypeError, KeyError, RecursionError):  # what is no JSON is a ValueError
            return None
        rows = [TextRow(zip(self._kept, each)) for each in values]  # noqa: B905 - dates follow
        for row, text in zip(rows, texts, strict=True):
            row.text = text
        return rows

    def _stay(self, columns: Sequence[Sequence[str | None]]) -> bool:
        """Whether all date-times are written as they were sent."""
        for (convert, settled), values in zip(self._dates, columns):  # noqa: B905 - one follows
            if settled.issuperset(values):
                continue
            for value in {*values} - settled:
                if convert(value) != value:  # type: ignore[arg-type] # None is settled
                    return False
                settled.add(value)
            if len(settled) > MAX_SETTLED:
                settled.clear()
                settled.add(None)
        return True

    def _redated(self, texts: Sequence[bytes], values: Sequence[str]) -> Sequence[bytes]:
        """Return the texts with the replication key as it is written, in place of these values.

        A name with its quotes and the colon stands nowhere within a value, where quotes are
        escaped; and no column within another one has the replication key's name.

        Raises:
            ValueError: One was not found in its text as it is expected there.
        """
        before, after = self._members(values), self._members(self._rewrite(values))
        if not all(map(contains, texts, before)):
            message = "written in another way"
            raise ValueError(message)
        return [*map(bytes.replace, texts, before, after)]

    def _members(self, values: Sequence[str]) -> Sequence[bytes]:
        """Return the replication key with each of these values, as in a row's text."""
        start = f'"{self._replication_key}":"'
        # Dates and times have no line breaks.
        return (start + f'"\n{start}'.join(values) + '"').encode().split(b"\n")


def _row_type(columns: Mapping[str, edm.EdmType]) -> type[msgspec.Struct]:
    """Return a type for the check: all columns are there, of the right types, and no other."""
    fields = [
        (f"column_{number}", _type(edm_type) | None, msgspec.field(name=name))
        for number, (name, edm_type) in enumerate(columns.items())
    ]
    return msgspec.defstruct("Row", fields, forbid_unknown_fields=True, gc=False)


def _type(edm_type: edm.EdmType) -> Any:  # noqa: ANN401 - a type made at run time
    if "items" in edm_type.schema:
        return list[_type(edm.from_schema(edm_type.schema["items"])) | None]  # type: ignore[misc] # made at run time
    if "properties" in edm_type.schema:
        return _row_type(edm.columns_of(edm_type.schema))
    return _WIRES.get(edm_type.conversion, edm_type.wire)
