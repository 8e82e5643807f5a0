"""Atom feeds, the other format of OData 3, as pages of rows.

A feed is read as a stream of elements: no tree is built, and what is not asked for is passed over.
Facts: docs/acumatica.md, "Payloads".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler, feature_namespaces

import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.sax import make_parser
from typing_extensions import override

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload
from tap_acumatica.odata.payload import Page, Row, known, other_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.sax.xmlreader import AttributesNSImpl

    Name = tuple[str | None, str]

ATOM: Final = "http://www.w3.org/2005/Atom"
DATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices"
METADATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"

CHUNK: Final = 2**16
"""Bytes that are given to the parser at a time, so that it keeps no copy of the whole."""

LARGEST: Final = 2**30
"""Bytes of an answer; the largest page of the widest inquiry has about a tenth."""

DEEPEST: Final = 64
"""Elements within each other."""


class AtomDecoder:
    """Decodes the Atom answers for one entity; what it gives equals what a `JsonDecoder` gives."""

    def __init__(self, entity_set: str, columns: Mapping[str, edm.EdmType]) -> None:
        self._entity_set = entity_set
        self._columns = columns
        self._row = edm.row_type(columns)

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
        return Page(known(feed.rows, self._entity_set, self._columns), feed.count, feed.next_link)

    def singleton(self, body: bytes) -> Page:
        """The one entry of a singleton, as a page of one row."""
        return Page(known(self._read(body).rows, self._entity_set, self._columns))

    def _read(self, body: bytes) -> _Feed:
        if len(body) > LARGEST:
            message = f"more than {LARGEST} bytes"
            raise BrokenPayload(message)
        feed = _Feed(self._columns, self._converted)
        parser = make_parser()
        parser.forbid_dtd = True
        parser.setFeature(feature_namespaces, True)  # noqa: FBT003 - SAX's own interface
        parser.setContentHandler(feed)
        try:
            for start in range(0, len(body), CHUNK):
                parser.feed(body[start : start + CHUNK])
            parser.close()
        except SAXParseException as error:
            message = f"not well-formed XML at line {error.getLineNumber()}"
            raise BrokenPayload(message) from error
        except (LookupError, ValueError, SAXException, DefusedXmlException) as error:
            message = f"refused XML: {type(error).__name__}"
            raise BrokenPayload(message) from error
        if feed.root is None:
            message = "no Atom feed"
            raise BrokenPayload(message)
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


_CHILDREN: Final[Mapping[_Within, Mapping[Name, _Within]]] = {
    _Within.DOCUMENT: {(ATOM, "feed"): _Within.FEED, (ATOM, "entry"): _Within.ENTRY},
    _Within.FEED: {
        (ATOM, "entry"): _Within.ENTRY,
        (ATOM, "link"): _Within.LINK,
        (METADATA, "count"): _Within.COUNT,
    },
    _Within.ENTRY: {
        (ATOM, "content"): _Within.CONTENT,
        # Where the content is a file, they stand beside it.
        (METADATA, "properties"): _Within.PROPERTIES,
    },
    _Within.CONTENT: {(METADATA, "properties"): _Within.PROPERTIES},
}


def _whole(text: str) -> int | str:
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,40}\s*", text) else text


def _number(text: str) -> Decimal | str:
    plain = re.fullmatch(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*", text)
    return Decimal(text.strip()) if plain else text


def _truth(text: str) -> bool | str:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.strip(), text)


# What JSON has as something else than text; Edm.Int64 and Edm.Decimal are text in OData 3.
_FROM_TEXT: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(["Edm.Byte", "Edm.SByte", "Edm.Int16", "Edm.Int32"], _whole),
    **dict.fromkeys(["Edm.Double", "Edm.Single"], _number),
    "Edm.Boolean": _truth,
}


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
        if edm.collection_of(self.type) is not None:
            return [part for _, part in self.parts]
        if self.parts:
            return dict(self.parts)
        text = "".join(self.text)
        convert = _FROM_TEXT.get(self.type)
        return convert(text) if convert else text


class _Feed(ContentHandler):
    """Takes the rows out of a feed, or of a single entry."""

    def __init__(self, columns: Mapping[str, edm.EdmType], converted: Callable[[Row], Row]) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.count: int | None = None
        self.next_link: str | None = None
        self.root: _Within | None = None
        self._columns = columns
        self._converted = converted
        self._within = [_Within.DOCUMENT]
        self._passed_over = 0
        self._row: Row = {}
        self._values: list[_Value] = []
        self._count_text: list[str] = []

    @override
    def startElementNS(self, name: Name, qname: str | None, attrs: AttributesNSImpl) -> None:
        if len(self._within) + self._passed_over > DEEPEST:
            message = f"more than {DEEPEST} elements within each other"
            raise BrokenPayload(message)
        if name == (METADATA, "error"):
            message = "an error in place of rows"
            raise BrokenPayload(message)
        child = None if self._passed_over else self._child(name)
        if child is None:
            if self._within[-1] is _Within.DOCUMENT:
                message = f"no Atom feed, but {name[1]}"
                raise BrokenPayload(message)
            self._passed_over += 1
            return
        self.root = self.root or child
        self._within.append(child)
        match child:
            case _Within.LINK if attrs.get((None, "rel")) == "next":
                self.next_link = attrs.get((None, "href"))
            case _Within.ENTRY:
                self._row = {}
            case _Within.VALUE:
                null = attrs.get((METADATA, "null"), "false").strip() in {"true", "1"}
                self._values.append(_Value(name[1], attrs.get((METADATA, "type"), ""), null))

    def _child(self, name: Name) -> _Within | None:
        """What an element is; None for one to pass over."""
        within = self._within[-1]
        if within is _Within.PROPERTIES:
            return _Within.VALUE if name[0] == DATA and name[1] in self._columns else None
        if within is _Within.VALUE:
            return _Within.VALUE if name[0] in {DATA, METADATA} else None
        return _CHILDREN.get(within, {}).get(name)

    @override
    def endElementNS(self, name: Name, qname: str | None) -> None:
        if self._passed_over:
            self._passed_over -= 1
            return
        match self._within.pop():
            case _Within.VALUE:
                value = self._values.pop()
                if self._values:
                    self._values[-1].parts.append((value.name, value.read()))
                else:
                    self._row[value.name] = value.read()
            case _Within.ENTRY:
                self.rows.append(self._converted(self._row))
            case _Within.COUNT:
                count = _whole("".join(self._count_text))
                self.count = count if isinstance(count, int) else None

    @override
    def characters(self, content: str) -> None:
        if self._passed_over:
            return
        if self._values:
            self._values[-1].text.append(content)
        elif self._within[-1] is _Within.COUNT:
            self._count_text.append(content)
