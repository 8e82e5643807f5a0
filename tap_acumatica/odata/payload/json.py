"""JSON response bodies as pages of rows."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload, ErrorInPayload, InconsistentAnswer
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.payload.page import (
    Page,
    Path,
    Row,
    refuse_other_case,
    refuse_other_set,
    require_columns,
    selected_columns,
    unexpected_values,
)
from tap_acumatica.odata.payload.text_rows import TextRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_acumatica.odata.table import TextColumns

ListColumns = dict[str, "ListColumns"]
"""Columns that are lists or contain lists, by name, each with those within it."""

ColumnTree = dict[str, "ColumnTree"]
"""Columns by name, each with those within it."""

_ANY_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)

_ESCAPES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
"""Escapes in JSON; the group is an unpaired surrogate, which is half of a character."""

_ANNOTATION: Final = re.compile(r"@|odata\.").search

_WITHOUT_VALUE: Final = "an object without rows"


def _envelope_decoder(row: Any) -> msgspec.json.Decoder[Any]:  # noqa: ANN401 - any type
    envelope = msgspec.defstruct(
        "Envelope",
        [
            ("value", list[row] | msgspec.UnsetType, msgspec.UNSET),
            ("count", int | None, msgspec.field(name="@odata.count", default=None)),
            ("next_link", str | None, msgspec.field(name="@odata.nextLink", default=None)),
            ("older_link", str | None, msgspec.field(name="odata.nextLink", default=None)),
            ("context", Any, msgspec.field(name="@odata.context", default=None)),
            ("older_context", Any, msgspec.field(name="odata.metadata", default=None)),
            ("error", Any, msgspec.field(name="error", default=None)),
            ("older_error", Any, msgspec.field(name="odata.error", default=None)),
            ("message", Any, msgspec.field(name="message", default=None)),
        ],
    )
    return msgspec.json.Decoder(envelope, strict=False, float_hook=Decimal)


_TEXT_ENVELOPE: Final = _envelope_decoder(msgspec.Raw)
"""Decodes an envelope, and leaves its rows as they are."""


class JsonDecoder:
    """Decodes the JSON response bodies for one entity, and checks and converts their values.

    Numbers never pass through a float, and may arrive as numbers or as strings of digits.
    """

    def __init__(
        self,
        entity_set: str,
        columns: Mapping[str, edm.EdmType],
        required: Iterable[str] = (),
        written: TextColumns | None = None,
    ) -> None:
        """Prepare to decode.

        Args:
            entity_set: Name of the entity in error messages.
            columns: Columns that rows may have.
            required: Columns without which a row cannot be read.
            written: How the columns are written, if rows may pass as text.
        """
        self._entity_set = entity_set
        self._columns = columns
        self._list_columns = _list_columns(
            {name: edm_type.schema for name, edm_type in columns.items()}
        )
        self._column_tree = _column_tree(
            {name: edm_type.schema for name, edm_type in columns.items()}
        )
        self._examined: dict[frozenset[Path], frozenset[str]] = {}
        """Sets of missing columns whose names were compared with those that were sent, each with
        the columns that were sent without being requested."""
        self._warned_of_surrogates = False
        self._required = tuple(required)
        self._text_rows = TextRows(columns, written) if written else None

    # Made on demand: most entities have no row that cannot pass as text, or nothing new at all.
    @cached_property
    def _row_type(self) -> Any:  # noqa: ANN401 - a type made at run time
        return edm.row_type(self._columns, self._required)

    @cached_property
    def _envelope(self) -> msgspec.json.Decoder[Any]:
        return _envelope_decoder(self._row_type)

    @cached_property
    def _row(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self._row_type, strict=False, float_hook=Decimal)

    def page(self, body: bytes) -> Page:
        """Decode a page of an entity set.

        Raises:
            BrokenPayload: The body is no JSON, was cut off, or is an error.
            InconsistentAnswer: The body is JSON, but not that of rows of this entity.
        """
        if page := self._page_as_text(body):
            return page
        envelope = self._open(self._decode(self._envelope, body))
        if envelope.value is msgspec.UNSET:
            raise ErrorInPayload(body) if envelope.message else BrokenPayload(_WITHOUT_VALUE)
        rows = self._checked(envelope.value)
        return self._page_of(rows, envelope, self._compare_names(rows, body))

    def _page_as_text(self, body: bytes) -> Page | None:
        """Return the page if its rows can pass as text."""
        if self._text_rows is None:
            return None
        if b"\n" in body or b"\r" in body:  # they may stand between values, but not within a line
            return None
        try:
            envelope = _TEXT_ENVELOPE.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        rows = None if envelope.value is msgspec.UNSET else self._text_rows.of(envelope.value)
        return None if rows is None else self._page_of([*rows], self._open(envelope))

    def _page_of(
        self,
        rows: list[Row],
        envelope: Any,  # noqa: ANN401 - its type is made at run time
        unrequested: frozenset[str] = frozenset(),
    ) -> Page:
        return Page(
            rows,
            envelope.count,
            envelope.next_link or envelope.older_link,
            unrequested,
            selected_columns(self._entity_set, _set_in(envelope)),
        )

    def singleton(self, body: bytes) -> Page:
        """Decode the one object of a singleton, as a page of one row, or of none."""
        if not body.strip():
            return Page([])
        if _is_null(self._decode(_ANY_JSON, body)):
            return Page([])
        envelope = self._open(self._decode(self._envelope, body))
        if envelope.value is not msgspec.UNSET:
            return Page(self._checked(envelope.value))
        return Page(self._checked([self._decode(self._row, body)]))

    def _open(self, envelope: Any) -> Any:  # noqa: ANN401 - its type is made at run time
        """Return the envelope, unless it is an error or the answer to another request."""
        error = envelope.error or envelope.older_error
        if error and "error" not in self._columns:
            raise ErrorInPayload(msgspec.json.encode({"error": error}))
        refuse_other_set(self._entity_set, _set_in(envelope))
        return envelope

    def _checked(self, rows: list[Row]) -> list[Row]:
        if self._list_columns:
            for row in rows:
                self._require_whole_lists(row, self._list_columns)
        return require_columns(rows, self._entity_set, self._columns)

    def _require_whole_lists(self, row: Row, list_columns: ListColumns) -> None:
        """Refuse lists that the server sent only in part."""
        for name, nested in list_columns.items():
            if row.pop(name + edm.NEXT_LINK_SUFFIX, None) is not None:
                message = (
                    f"Acumatica sent only part of {name} with a row of {self._entity_set}: remove "
                    "it from the setting expand, and read the related entity as a separate stream."
                )
                raise InconsistentAnswer(message)
            value = row.get(name)
            for item in value if isinstance(value, list) else [value]:
                if nested and item:
                    self._require_whole_lists(item, nested)

    def _compare_names(self, rows: list[Row], body: bytes) -> frozenset[str]:
        """If rows lack columns that were requested, return those that were sent in addition."""
        missing = frozenset(_missing(rows, self._column_tree))
        if missing and missing not in self._examined:
            sent = self._decode(_ANY_JSON, body)["value"]
            for path in missing:
                unrequested = _unrequested(sent, path, self._column_tree)
                refuse_other_case(self._entity_set, path, unrequested)
            names = {name for row in sent for name in row} - self._column_tree.keys()
            self._examined[missing] = frozenset(name for name in names if not _ANNOTATION(name))
        return self._examined.get(missing, frozenset())

    def _decode(self, decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:  # noqa: ANN401
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            if decoder is not _ANY_JSON:  # which refuses numbers of thousands of digits, too
                # A body that was cut off says nothing about the columns.
                self._decode(_ANY_JSON, body)
            raise unexpected_values(self._entity_set, error) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            repaired = _ESCAPES.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], body)
            if repaired == body:
                raise BrokenPayload(str(error)) from error
        decoded = self._decode(decoder, repaired)
        if not self._warned_of_surrogates:
            self._warned_of_surrogates = True
            logger.warning(
                "%s has texts that were cut off within a character: U+FFFD replaces the half "
                "character.",
                self._entity_set,
            )
        return decoded


def _set_in(envelope: Any) -> str:  # noqa: ANN401 - the envelope's type is made at run time
    """Return what the answer says it is about: its set and what follows; empty if nothing."""
    context = envelope.context or envelope.older_context
    return context.partition("#")[2] if isinstance(context, str) else ""


def _is_null(content: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether this stands for no object: null, null as a value, or an annotation that says so."""
    if not isinstance(content, dict):
        return content is None
    if content.get("@odata.null") or content.get("odata.null"):
        return True
    return "value" in content and content["value"] is None


def _list_columns(columns: Mapping[str, edm.Schema]) -> ListColumns:
    list_columns = {}
    for name, schema in columns.items():
        nested = _list_columns(schema.get("items", schema).get("properties", {}))
        if nested or "items" in schema:
            list_columns[name] = nested
    return list_columns


def _column_tree(columns: Mapping[str, edm.Schema]) -> ColumnTree:
    return {
        name: _column_tree(schema.get("items", schema).get("properties", {}))
        for name, schema in columns.items()
    }


def _missing(rows: list[Row], tree: ColumnTree) -> set[Path]:
    """Return the paths of the columns that the first row, or a column's first object, lacks."""
    if not rows:
        return set()
    missing: set[Path] = {(name,) for name in tree.keys() - rows[0].keys()}
    for name, nested in tree.items():
        if nested:
            objects = next(filter(None, (_objects_in(row, name) for row in rows)), [])
            missing |= {(name, *path) for path in _missing(objects, nested)}
    return missing


def _objects_in(row: Row, name: str) -> list[Row]:
    """Return the objects in a column, which holds one object or a list of them."""
    value = row.get(name)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if item is not None]


def _unrequested(rows: list[Row], path: Path, tree: ColumnTree) -> set[str]:
    """Return the names that were sent beside the column of this path without being requested."""
    for name in path[:-1]:
        rows = [item for row in rows for item in _objects_in(row, name)]
        tree = tree[name]
    return {name for row in rows for name in row} - tree.keys()
