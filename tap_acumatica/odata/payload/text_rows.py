"""Rows as text: what is right as JSON is checked, and passed on instead of being rebuilt.

Most of a read's time would be spent on making, looking up and freeing the values of rows. Here a
row is decoded only to see that it has the columns and types that are expected, and all is dropped
again but the columns that the read itself needs. A page with anything else is left to the decoder
of rows (json.py), which also words the errors. Both lead to the same records.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import repeat
from operator import attrgetter, eq
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.edm import Conversion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_acumatica.odata.table import TextColumns

    Change = tuple[Sequence[bytes], Sequence[bytes]]
    """A member of each row as it was sent, and as it is written."""

BLOCK_SIZE: Final = 200
"""Number of rows that are made together: few enough to stay in the processor's cache."""

MAX_KNOWN: Final = 10_000
"""Maximum number of date-times of a column of which it is known how they are written."""

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
    """Makes rows of their texts, if each of them can pass."""

    def __init__(self, columns: Mapping[str, edm.EdmType], written: TextColumns) -> None:
        """Prepare to check rows, which have to have all of these columns, and no other."""
        replication_key = written.replication_key
        self._width = len(columns)
        self._kept = (*written.key, *([replication_key] if replication_key else []))
        self._dates = [
            _Dates(name, written.dates[name], may_be_null=name != replication_key)
            for name in columns
            if name in written.dates
        ]
        row = _row_type(columns)
        self._decode = msgspec.json.Decoder(row).decode
        fields = {field.encode_name: field.name for field in msgspec.structs.fields(row)}
        names = [*self._kept, *(dates.name for dates in self._dates)]
        # With one name the getter would return no tuple.
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(
            *(fields[name] for name in [*names, *names[:1]])
        )

    def of(self, raws: Sequence[msgspec.Raw]) -> list[TextRow] | None:
        """Return the rows with these texts; None if one of them cannot pass."""
        rows: list[TextRow] = []
        try:
            for start in range(0, len(raws), BLOCK_SIZE):
                rows += self._block(raws[start : start + BLOCK_SIZE])
        except (ValueError, TypeError, KeyError, RecursionError):  # what is no JSON is a ValueError
            return None
        return rows

    def _block(self, raws: Sequence[msgspec.Raw]) -> list[TextRow]:
        # All that is done for each row is done by C code: this is where the time is spent.
        values = [*map(self._values, map(self._decode, raws))]
        texts: Sequence[bytes] = [*map(bytes, raws)]
        columns = [*zip(*values, strict=True)][len(self._kept) :]
        changes = [
            change
            for dates, column in zip(self._dates, columns)  # noqa: B905 - one follows
            if (change := dates.change(column))
        ]
        texts = self._changed(texts, changes)
        rows = [TextRow(zip(self._kept, each)) for each in values]  # noqa: B905 - dates follow
        for row, text in zip(rows, texts, strict=True):
            row.text = text
        return rows

    def _changed(self, texts: Sequence[bytes], changes: Sequence[Change]) -> Sequence[bytes]:
        """Return the texts of rows with these changes.

        A name with its quotes and the colon stands nowhere within a value, where quotes are
        escaped; and no column within another one has the name of one with date-times.

        Raises:
            ValueError: A member does not stand in its text as expected.
        """
        if len(changes) > 1 and {*map(bytes.count, texts, repeat(b'":'))} == {self._width}:
            return _spliced(texts, changes)
        # A name may come twice.
        for before, after in changes:
            changed = [*map(bytes.replace, texts, before, after)]
            _require(sum(map(eq, texts, changed)) == sum(map(eq, before, after)))
            texts = changed
        return texts


class _Dates:
    """The date-times of one column, in the texts of rows."""

    def __init__(
        self, name: str, write: Callable[[Sequence[str]], Sequence[str]], *, may_be_null: bool
    ) -> None:
        self.name = name
        self._write = write
        self._nulls: dict[Any, Any] = {None: None} if may_be_null else {}
        self._known = self._nulls.copy()
        """How values are written."""

    def change(self, values: Sequence[Any]) -> Change | None:
        """Return how these values of rows are to be changed, or None if none is.

        Raises:
            ValueError: A value is no date-time.
            TypeError: A value is null, but must not be.
        """
        written = self._written(values)
        if written is values or [*written] == [*values]:
            return None
        return self._members(values), self._members(written)

    def _written(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return these values as they are written; the same object if none changes."""
        new = {*values} - self._known.keys()
        if len(new) == len(values):
            return self._write(values)
        if new:
            if len(self._known) > MAX_KNOWN:
                self._known = self._nulls.copy()
                new = {*values} - self._known.keys()
            self._known.update(zip(new, self._write([*new]), strict=True))
        return [*map(self._known.__getitem__, values)]

    def _members(self, values: Sequence[str | None]) -> Sequence[bytes]:
        """Return the column with each of these values, as in a row's text."""
        start, end = f'"{self.name}":"', '"'
        if None in values:
            start, end = f'"{self.name}":', ""
            values = ["null" if value is None else f'"{value}"' for value in values]
        lines = f"{end}\n{start}".join(values)  # type: ignore[arg-type] # none is None
        members = f"{start}{lines}{end}".encode().split(b"\n")
        _require(len(members) == len(values))
        return members


def _spliced(texts: Sequence[bytes], changes: Sequence[Change]) -> Sequence[bytes]:
    """Return the texts of rows, which have no name twice, with all of these changes at once.

    Raises:
        ValueError: A row has these columns in another order than the first row, or spells them in
            another way.
    """
    parts: list[Sequence[bytes]] = []
    for before, after in sorted(changes, key=lambda change: -texts[0].find(change[0][0])):
        texts, found, tails = zip(*map(bytes.rpartition, texts, before), strict=True)
        _require(all(found))
        parts += (tails, after)
    return [*map(b"".join, zip(texts, *reversed(parts), strict=True))]


def _require(as_expected: bool) -> None:  # noqa: FBT001 - the only argument
    if not as_expected:
        message = "a value is spelt in another way"
        raise ValueError(message)


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
