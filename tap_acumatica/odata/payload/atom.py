"""Atom feeds, the other format of OData 3, as pages of rows.

A feed is read as a stream of elements: no tree is built, and elements that were not requested are
skipped. Facts: docs/acumatica.md, "Payloads".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload, ErrorInPayload
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.payload.page import (
    Page,
    Row,
    refuse_other_case,
    refuse_other_set,
    require_columns,
    unexpected_values,
)
from tap_acumatica.odata.xml_text import without_forbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ATOM: Final = "http://www.w3.org/2005/Atom"
DATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices"
METADATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"

CHUNK: Final = 2**16
"""Bytes to pass to the parser at a time, so that it keeps no copy of the whole body."""

MAX_BODY: Final = 2**30
"""Maximum bytes of a body; the largest page of the widest inquiry has about a tenth of them."""

MAX_DEPTH: Final = 64
"""Maximum number of nested elements."""

SERVICE: Final = re.compile(r"https?://.+/odata\w*/(?:.*/)?([^/?]+)", re.IGNORECASE)
"""Matches the address of a set, which identifies its feed; the group is the set's name."""

_COUNT: Final = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_ERROR: Final = f"{METADATA} error"
_TYPE: Final = f"{METADATA} type"
_NULL: Final = f"{METADATA} null"


class AtomDecoder:
    """Decodes the Atom response bodies for one entity into the pages that a `JsonDecoder` makes."""

    def __init__(
        self, entity_set: str, columns: Mapping[str, edm.EdmType], required: Iterable[str] = ()
    ) -> None:
        """Prepare to decode; the arguments are those of a `JsonDecoder`."""
        self._entity_set = entity_set
        self._columns = columns
        self._row = edm.row_type(columns, required)
        self._warned_of_characters = False

    def page(self, body: bytes) -> Page:
        """Decode a page of an entity set.

        Raises:
            BrokenPayload: The body is no feed, was cut off, is an error, or has a document type.
            InconsistentAnswer: The body is a feed, but not that of rows of this entity.
        """
        feed = self._read(body)
        if feed.root is not _Element.FEED:
            message = "an entry instead of a feed"
            raise BrokenPayload(message)
        if match := SERVICE.match(feed.id):
            refuse_other_set(self._entity_set, match[1])
        rows = require_columns(feed.rows, self._entity_set, self._columns)
        absent = self._columns.keys() - rows[0].keys() if rows else set()
        for missing in absent:
            refuse_other_case(self._entity_set, (missing,), feed.unrequested)
        unrequested = frozenset(feed.unrequested if absent else ())
        return Page(rows, feed.count, feed.next_link, unrequested)

    def singleton(self, body: bytes) -> Page:
        """Decode the one entry of a singleton, as a page of one row."""
        return Page(require_columns(self._read(body).rows, self._entity_set, self._columns))

    def _read(self, body: bytes) -> _Feed:
        if len(body) > MAX_BODY:
            message = f"more than {MAX_BODY} bytes"
            raise BrokenPayload(message)
        feed = _Feed(self._columns, self._convert)
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        # Without a document type there are no entities, so nothing is expanded or fetched.
        parser.StartDoctypeDeclHandler = _refuse_document_type
        parser.StartElementHandler = feed.start
        parser.EndElementHandler = feed.end
        parser.CharacterDataHandler = feed.characters
        try:
            for start in range(0, len(body), CHUNK):
                parser.Parse(body[start : start + CHUNK], False)  # noqa: FBT003 - expat's interface
            parser.Parse(b"", True)  # noqa: FBT003 - expat's interface
        except (expat.ExpatError, LookupError, ValueError) as error:
            repaired = b"".join(without_forbidden([body]))
            if repaired == body:
                message = f"not well-formed XML at line {parser.CurrentLineNumber}"
                raise BrokenPayload(message) from error
        else:
            return feed
        feed = self._read(repaired)
        if not self._warned_of_characters:
            self._warned_of_characters = True
            logger.warning(
                "%s has texts with characters that XML does not allow: they are left out.",
                self._entity_set,
            )
        return feed

    def _convert(self, row: Row) -> Row:
        try:
            converted: Row = msgspec.convert(row, self._row, strict=False)
        except msgspec.ValidationError as error:
            raise unexpected_values(self._entity_set, error) from error
        return converted


class _Element(Enum):
    """The elements of a feed that are not skipped."""

    DOCUMENT = auto()
    FEED = auto()
    COUNT = auto()
    ID = auto()
    LINK = auto()
    ENTRY = auto()
    CONTENT = auto()
    PROPERTIES = auto()
    VALUE = auto()


# Element names as the parser reports them: the namespace, a blank, and the local name.
_CHILDREN: Final[Mapping[_Element, Mapping[str, _Element]]] = {
    _Element.DOCUMENT: {f"{ATOM} feed": _Element.FEED, f"{ATOM} entry": _Element.ENTRY},
    _Element.FEED: {
        f"{ATOM} entry": _Element.ENTRY,
        f"{ATOM} link": _Element.LINK,
        f"{METADATA} count": _Element.COUNT,
        f"{ATOM} id": _Element.ID,
    },
    _Element.ENTRY: {
        f"{ATOM} content": _Element.CONTENT,
        # If the content is a file, the properties stand beside it.
        f"{METADATA} properties": _Element.PROPERTIES,
    },
    _Element.CONTENT: {f"{METADATA} properties": _Element.PROPERTIES},
}


def _refuse_document_type(*_: object) -> None:
    message = "a document type"
    raise BrokenPayload(message)


@dataclass(slots=True)
class _Value:
    """A value that is being read."""

    name: str
    type: str
    null: bool
    text: list[str] = field(default_factory=list)
    parts: list[tuple[str, Any]] = field(default_factory=list)

    def read(self) -> Any:  # noqa: ANN401 - of any column
        if self.null:
            return None
        if self.type.startswith("Collection("):
            return [part for _, part in self.parts]
        if self.parts:
            return dict(self.parts)
        text = "".join(self.text)
        edm_type = edm.TYPES.get(self.type)
        convert = edm_type.from_text if edm_type else None
        return convert(text) if convert else text


class _Feed:
    """Collects the rows of a feed, or of a single entry, as its elements are parsed."""

    def __init__(self, columns: Mapping[str, edm.EdmType], convert: Callable[[Row], Row]) -> None:
        self.rows: list[Row] = []
        self.unrequested: set[str] = set()
        """Columns that were sent without being requested."""
        self.count: int | None = None
        self.next_link: str | None = None
        self.id = ""
        self.root: _Element | None = None
        self._children: Mapping[_Element, Mapping[str, _Element]] = {
            **{element: {} for element in _Element},
            **_CHILDREN,
            _Element.PROPERTIES: {f"{DATA} {name}": _Element.VALUE for name in columns},
        }
        self._convert = convert
        self._open = [_Element.DOCUMENT]
        """The open elements, from the outermost to the innermost one."""
        self._skipped_depth = 0
        """Number of open elements that are skipped."""
        self._row: Row = {}
        self._values: list[_Value] = []
        self._text: list[str] = []
        """Text of an element of the feed itself, or of an error."""
        self._error = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the start of an element."""
        child = None if self._skipped_depth else self._children[self._open[-1]].get(name)
        if child is None and not self._is_part(name):
            self._skip(name)
            return
        if child is None:
            self._check_depth()
            child = _Element.VALUE
        self._open.append(child)
        if child is _Element.VALUE:
            null = attributes.get(_NULL, "").strip().lower() in {"true", "1"}
            local = name.rpartition(" ")[2]
            self._values.append(_Value(local, attributes.get(_TYPE, ""), null))
        elif child is _Element.ENTRY:
            self._row = {}
        elif child in {_Element.COUNT, _Element.ID}:
            self._text = []
        elif child is _Element.LINK and attributes.get("rel") == "next":
            self.next_link = attributes.get("href")
        self.root = self.root or child

    def _is_part(self, name: str) -> bool:
        """Whether an element is an item of a collection, or a property of an object."""
        return bool(self._values) and not self._skipped_depth and name.startswith(DATA)

    def _skip(self, name: str) -> None:
        if name == _ERROR:
            self._error, self._text = True, []
        elif self.root is None and not self._error:
            message = f"no Atom feed, but {name.rpartition(' ')[2]:.100}"
            raise BrokenPayload(message)
        if self._open[-1] is _Element.PROPERTIES and not self._skipped_depth:
            self.unrequested.add(name.rpartition(" ")[2])
        self._skipped_depth += 1
        self._check_depth()

    def _check_depth(self) -> None:
        if len(self._open) + self._skipped_depth > MAX_DEPTH:
            message = f"more than {MAX_DEPTH} nested elements"
            raise BrokenPayload(message)

    def end(self, name: str) -> None:
        """Take the end of an element.

        Raises:
            ErrorInPayload: It is an error.
        """
        if name == _ERROR:
            message = " ".join("".join(self._text).split())
            raise ErrorInPayload(msgspec.json.encode({"error": {"message": message}}))
        if self._skipped_depth:
            self._skipped_depth -= 1
            return
        element = self._open.pop()
        if element is _Element.VALUE:
            value = self._values.pop()
            if self._values:
                self._values[-1].parts.append((value.name, value.read()))
            else:
                self._row[value.name] = value.read()
        elif element is _Element.ENTRY:
            self.rows.append(self._convert(self._row))
        elif element is _Element.COUNT:
            text = "".join(self._text)
            self.count = int(text) if _COUNT.fullmatch(text) else None
        elif element is _Element.ID:
            self.id = "".join(self._text).strip()

    def characters(self, text: str) -> None:
        """Take text."""
        if self._error:
            self._text += [text, " "]
        elif self._skipped_depth:
            return
        elif self._values:
            self._values[-1].text.append(text)
        elif self._open[-1] in {_Element.COUNT, _Element.ID}:
            self._text.append(text)
