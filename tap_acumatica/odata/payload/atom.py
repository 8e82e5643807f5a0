"""Atom feeds, the other format of OData 3, as pages of rows.

A feed is read as a stream of elements: no tree is built, and what is not asked for is passed over.
Facts: docs/acumatica.md, "Payloads".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload
from tap_acumatica.odata.payload.page import Page, Row, known, other_values, refuse_other_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ATOM: Final = "http://www.w3.org/2005/Atom"
DATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices"
METADATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"

CHUNK: Final = 2**16
"""Bytes that are given to the parser at a time, so that it keeps no copy of the whole."""

MAX_BODY: Final = 2**30
"""Bytes of an answer; the largest page of the widest inquiry has about a tenth."""

MAX_DEPTH: Final = 64
"""Elements within each other."""


class AtomDecoder:
    """Decodes the Atom answers for one entity; what it gives equals what a `JsonDecoder` gives."""

    def __init__(
        self, entity_set: str, columns: Mapping[str, edm.EdmType], required: Iterable[str] = ()
    ) -> None:
        """As that of a `JsonDecoder`."""
        self._entity_set = entity_set
        self._columns = columns
        self._row = edm.row_type(columns, required)

    def page(self, body: bytes) -> Page:
        """A page of an entity set.

        Raises:
            BrokenPayload: No feed, cut off, or with a document type.
            InconsistentAnswer: A feed, but not of the columns of this entity.
        """
        feed = self._read(body)
        if feed.root is not _Within.FEED:
            message = "an entry in place of a feed"
            raise BrokenPayload(message)
        rows = known(feed.rows, self._entity_set, self._columns)
        for missing in self._columns.keys() - rows[0].keys() if rows else ():
            refuse_other_case(self._entity_set, (missing,), feed.others)
        return Page(rows, feed.count, feed.next_link)

    def singleton(self, body: bytes) -> Page:
        """The one entry of a singleton, as a page of one row."""
        return Page(known(self._read(body).rows, self._entity_set, self._columns))

    def _read(self, body: bytes) -> _Feed:
        if len(body) > MAX_BODY:
            message = f"more than {MAX_BODY} bytes"
            raise BrokenPayload(message)
        feed = _Feed(self._columns, self._converted)
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
            message = f"not well-formed XML at line {parser.CurrentLineNumber}"
            raise BrokenPayload(message) from error
        return feed

    def _converted(self, row: Row) -> Row:
        try:
            converted: Row = msgspec.convert(row, self._row, strict=False)
        except msgspec.ValidationError as error:
            raise other_values(self._entity_set, error) from error
        return converted


class _Within(Enum):
    """Where in a feed the reader is."""

    DOCUMENT = auto()
    FEED = auto()
    COUNT = auto()
    LINK = auto()
    ENTRY = auto()
    CONTENT = auto()
    PROPERTIES = auto()
    VALUE = auto()


# Names as the parser gives them: the namespace, a blank, and the local name.
_CHILDREN: Final[Mapping[_Within, Mapping[str, _Within]]] = {
    _Within.DOCUMENT: {f"{ATOM} feed": _Within.FEED, f"{ATOM} entry": _Within.ENTRY},
    _Within.FEED: {
        f"{ATOM} entry": _Within.ENTRY,
        f"{ATOM} link": _Within.LINK,
        f"{METADATA} count": _Within.COUNT,
    },
    _Within.ENTRY: {
        f"{ATOM} content": _Within.CONTENT,
        # Where the content is a file, they stand beside it.
        f"{METADATA} properties": _Within.PROPERTIES,
    },
    _Within.CONTENT: {f"{METADATA} properties": _Within.PROPERTIES},
}
_COUNT: Final = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_ERROR: Final = f"{METADATA} error"
_TYPE: Final = f"{METADATA} type"
_NULL: Final = f"{METADATA} null"


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
    """Takes the rows out of a feed, or of a single entry, as its elements come."""

    def __init__(self, columns: Mapping[str, edm.EdmType], converted: Callable[[Row], Row]) -> None:
        self.rows: list[Row] = []
        self.others: set[str] = set()
        """Columns that came without being asked for."""
        self.count: int | None = None
        self.next_link: str | None = None
        self.root: _Within | None = None
        self._children: Mapping[_Within, Mapping[str, _Within]] = {
            **{within: {} for within in _Within},
            **_CHILDREN,
            _Within.PROPERTIES: {f"{DATA} {name}": _Within.VALUE for name in columns},
        }
        self._converted = converted
        self._within = [_Within.DOCUMENT]
        self._passed_over = 0
        self._row: Row = {}
        self._values: list[_Value] = []
        self._count_text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        child = None if self._passed_over else self._children[self._within[-1]].get(name)
        if child is None and not self._is_part(name):
            self._pass_over(name)
            return
        if child is None:
            self._check_depth()
            child = _Within.VALUE
        self._within.append(child)
        if child is _Within.VALUE:
            null = attributes.get(_NULL, "").strip().lower() in {"true", "1"}
            local = name.rpartition(" ")[2]
            self._values.append(_Value(local, attributes.get(_TYPE, ""), null))
        elif child is _Within.ENTRY:
            self._row = {}
        elif child is _Within.LINK and attributes.get("rel") == "next":
            self.next_link = attributes.get("href")
        self.root = self.root or child

    def _is_part(self, name: str) -> bool:
        """Whether an element is an item of a collection, or a property of an object."""
        return bool(self._values) and not self._passed_over and name.startswith(DATA)

    def _pass_over(self, name: str) -> None:
        if self.root is None:
            message = f"no Atom feed, but {name.rpartition(' ')[2]:.100}"
            raise BrokenPayload(message)
        if name == _ERROR:
            message = "an error in place of rows"
            raise BrokenPayload(message)
        if self._within[-1] is _Within.PROPERTIES and not self._passed_over:
            self.others.add(name.rpartition(" ")[2])
        self._passed_over += 1
        self._check_depth()

    def _check_depth(self) -> None:
        if len(self._within) + self._passed_over > MAX_DEPTH:
            message = f"more than {MAX_DEPTH} elements within each other"
            raise BrokenPayload(message)

    def end(self, _: str) -> None:
        """An element ends."""
        if self._passed_over:
            self._passed_over -= 1
            return
        within = self._within.pop()
        if within is _Within.VALUE:
            value = self._values.pop()
            if self._values:
                self._values[-1].parts.append((value.name, value.read()))
            else:
                self._row[value.name] = value.read()
        elif within is _Within.ENTRY:
            self.rows.append(self._converted(self._row))
        elif within is _Within.COUNT:
            text = "".join(self._count_text)
            self.count = int(text) if _COUNT.fullmatch(text) else None

    def characters(self, text: str) -> None:
        """Text comes."""
        if self._passed_over:
            return
        if self._values:
            self._values[-1].text.append(text)
        elif self._within[-1] is _Within.COUNT:
            self._count_text.append(text)
