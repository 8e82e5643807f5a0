"""OData 3: literals and response formats."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

from sandbox import atom
from sandbox.errors import Refusal
from sandbox.http import Response
from sandbox.inquiries.model import OLDER_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sandbox.model import Column

Value = str | int | float | Decimal | bool | None
TOKEN = re.compile(
    r"(?P<datetime>\bdatetime'(?P<moment>[^']*)')|(?P<guid>\bguid'(?P<digits>[^']*)')"
    r"|(?P<text>'(?:[^']|'')*')|(?P<decimal>\b\d+(?:\.\d+)?)[Mm]\b|(?P<long>\b\d+)[Ll]\b"
    r"|(?P<four>\b\d{4}-\d\d-\d\dT[\d:.Z+-]*|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+\b)"
)


def translate_filter(text: str, zone: ZoneInfo) -> str:
    """Translate the literals of a filter to OData 4.

    A date-time without an offset is in the account's time zone.

    Raises:
        Refusal: A literal is not one of OData 3.
    """

    def literal(match: re.Match[str]) -> str:
        if match["text"]:
            return match["text"]
        if match["decimal"] or match["long"]:
            return match["decimal"] or match["long"]
        if match["guid"]:
            return match["digits"].lower()
        if match["datetime"]:
            return instant(match["moment"], zone)
        message = f"Syntax error at position {match.start()} in '{text}'."
        raise Refusal(message)

    return TOKEN.sub(literal, text)


def instant(text: str, zone: ZoneInfo) -> str:
    """Convert the instant in a literal to OData 4.

    Raises:
        Refusal: The text is no instant.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"Unrecognized 'Edm.DateTime' literal 'datetime'{text}''."
        raise Refusal(message) from None
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).isoformat()


@dataclass(frozen=True)
class Feed:
    """The content of one response, in any format.

    Attributes:
        title: Title of the inquiry, and name of its entity set.
        root: Address of the service root, with a slash at the end.
        columns: Columns of the rows, in their order.
        rows: Values by column: decimals with their digits, date-times as shown.
        next_link: Address of the next page, if there is one.
    """

    title: str
    root: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Value]]
    next_link: str | None = None

    def edm_type(self, column: Column) -> str:
        """Return the OData 3 type of a column."""
        return OLDER_TYPES.get(column.declared.type, column.declared.type)


def as_json(feed: Feed) -> Response:
    """Return the response in JSON, with decimals as text."""
    decimals = {column.name for column in feed.columns if feed.edm_type(column) == "Edm.Decimal"}
    rows = [
        {
            name: str(value) if name in decimals and value is not None else value
            for name, value in row.items()
        }
        for row in feed.rows
    ]
    body: dict[str, object] = {
        "odata.metadata": f"{feed.root}$metadata#{quote(feed.title)}",
        "value": rows,
    }
    if feed.next_link:
        body["odata.nextLink"] = feed.next_link
    return Response(body=json.dumps(body).encode(), content_type="application/json")


def as_atom(feed: Feed) -> Response:
    """Return the response as an Atom feed, in which values carry their types."""
    types = {column.name: feed.edm_type(column) for column in feed.columns}
    name = re.sub(r"\W", "", feed.title)
    body = atom.feed(
        feed.root,
        quote(feed.title),
        feed.rows,
        types,
        term=f"PX.Data.{name}",
        next_link=feed.next_link,
    )
    return Response(body=body, content_type=atom.CONTENT_TYPE)


FORMATS: Mapping[str, Callable[[Feed], Response]] = {"json": as_json, "atom": as_atom}
"""The formats that ``$format`` may name."""


def respond(feed: Feed, format_name: str, accept: str) -> Response:
    """Return the response in the format that ``$format`` or else the Accept header requests.

    Raises:
        Refusal: The format is unknown.
    """
    name = format_name or ("json" if "json" in accept else "atom")
    if name not in FORMATS:
        message = f"A supported MIME type could not be found for '{name}'."
        raise Refusal(message)
    return FORMATS[name](feed)
