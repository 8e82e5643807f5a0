"""Rows as text: what is right as JSON is checked, and passed on instead of being rebuilt.

Most of a read's time would be spent on making, looking up and freeing the values of rows. Here a
row is decoded only to see that it has the columns and types that are expected, and all is dropped
again but the columns that the read itself needs. A page with anything else is left to the decoder
of rows (json.py), which also words the errors. Both lead to the same records.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from operator import attrgetter, eq
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.edm import Conversion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_acumatica.odata.table import TextColumns

BLOCK_SIZE: Final = 200
"""Number of rows that are made together: few enough to stay in the processor's cache."""

MIN_EXCHANGED: Final = 3
"""Number of columns from which on it is faster to change them in one go."""

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
        self._columns = columns

    # Made on demand: most streams have nothing new.
    @cached_property
    def _row(self) -> type[msgspec.Struct]:
        return _row_type(self._columns)

    @cached_property
    def _decode(self) -> Callable[[Any], Any]:
        return msgspec.json.Decoder(self._row).decode

    @cached_property
    def _values(self) -> Callable[[Any], tuple[Any, ...]]:
        fields = {field.encode_name: field.name for field in msgspec.structs.fields(self._row)}
        names = [*self._kept, *(dates.name for dates in self._dates)]
        # With one name the getter would return no tuple.
        return attrgetter(*(fields[name] for name in [*names, *names[:1]]))

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
            _Change(dates.name, column, written)
            for dates, column in zip(self._dates, columns)  # noqa: B905 - one follows
            if (written := dates.written(column)) is not column and [*written] != [*column]
        ]
        texts = _changed(texts, changes, self._width)
        rows = [TextRow(zip(self._kept, each)) for each in values]  # noqa: B905 - dates follow
        for row, text in zip(rows, texts, strict=True):
            row.text = text
        return rows


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

    def written(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return these values as they are written; the same object if none changes.

        Raises:
            ValueError: A value is no date-time.
            TypeError: A value is null, but must not be.
        """
        new = {*values} - self._known.keys()
        if len(new) == len(values):
            return self._write(values)
        if new:
            if len(self._known) > MAX_KNOWN:
                self._known = self._nulls.copy()
                new = {*values} - self._known.keys()
            self._known.update(zip(new, self._write([*new]), strict=True))
        return [*map(self._known.__getitem__, values)]


class _Change(NamedTuple):
    """A column of rows, as it was sent and as it is written."""

    name: str
    sent: Sequence[str | None]
    written: Sequence[str | None]

    def members(self, quote: str) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Return the column as in the texts of rows, with this in front of its name."""
        start = f'{quote}{self.name}":'
        return _members(start, self.sent), _members(start, self.written)


def _members(start: str, values: Sequence[str | None]) -> Sequence[bytes]:
    end = ""
    if None in values:
        values = ["null" if value is None else f'"{value}"' for value in values]
    else:
        start, end = f'{start}"', '"'
    lines = f"{end}\n{start}".join(values)  # type: ignore[arg-type] # none is None
    members = f"{start}{lines}{end}".encode().split(b"\n")
    _require(len(members) == len(values))
    return members


def _changed(texts: Sequence[bytes], changes: Sequence[_Change], width: int) -> Sequence[bytes]:
    """Return the texts of rows with these changes.

    A name with its quotes and the colon stands nowhere within a value, where quotes are escaped;
    and no column within another one has the name of one with date-times.

    Args:
        texts: The texts.
        changes: Their changes.
        width: The number of columns of a row.

    Raises:
        ValueError: A value does not stand in its text as expected.
    """
    if len(changes) >= MIN_EXCHANGED and (exchanged := _exchanged(texts, changes, width)):
        return exchanged
    for change in changes:
        before, after = change.members('"')
        changed = [*map(bytes.replace, texts, before, after)]
        _require(sum(map(eq, texts, changed)) == sum(map(eq, before, after)))
        texts = changed
    return texts


def _exchanged(
    texts: Sequence[bytes], changes: Sequence[_Change], width: int
) -> Sequence[bytes] | None:
    """Return the texts of rows with these changes, made in one go; None if that may not be.

    Each text is cut into its members, at commas in front of quotes. They are as many as the columns
    if no name comes twice, no text ends with a comma, and no column holds others.
    """
    rows = [text[2:-1].split(b',"') for text in texts]
    if {*map(len, rows)} != {width} or {text[:2] for text in texts} != {b'{"'}:
        return None
    columns: list[Sequence[bytes]] = [*zip(*rows, strict=True)]
    places = {member.partition(b'"')[0].decode(): place for place, member in enumerate(rows[0])}
    for change in changes:
        before, after = change.members("")
        place = places.get(change.name)
        if place is None or [*columns[place]] != before:
            return None
        columns[place] = after
    return [b'{"%b}' % b',"'.join(row) for row in zip(*columns, strict=True)]


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
