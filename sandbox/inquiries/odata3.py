"""OData 3: its literals, and its answers."""

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


def translated(text: str, zone: ZoneInfo) -> str:
    """A filter in the literals of OData 4; a date-time without an offset is the account's.

    Raises:
        Refusal: A literal is none of OData 3.
    """

    def literal(found: re.Match[str]) -> str:
        if found["text"]:
            return found["text"]
        if found["decimal"] or found["long"]:
            return found["decimal"] or found["long"]
        if found["guid"]:
            return found["digits"].lower()
        if found["datetime"]:
            return instant(found["moment"], zone)
        message = f"Syntax error at position {found.start()} in '{text}'."
        raise Refusal(message)

    return TOKEN.sub(literal, text)


def instant(text: str, zone: ZoneInfo) -> str:
    """A literal's instant, as OData 4 writes it.

    Raises:
        Refusal: It is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"Unrecognized 'Edm.DateTime' literal 'datetime'{text}''."
        raise Refusal(message) from None
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).isoformat()


@dataclass(frozen=True)
class Feed:
    """The rows of one answer, with all that any form of it needs.

    Attributes:
        title: Of the inquiry: the name of its entity set.
        root: Address of the service, ending with a slash.
        columns: Those that are shown, in their order.
        rows: By column: decimals with their digits, date-times as they are to be shown.
        next_link: Address of the next page, if the server sends one.
    """

    title: str
    root: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Value]]
    next_link: str | None = None

    def edm_type(self, column: Column) -> str:
        """The type of a column's values."""
        return OLDER_TYPES.get(column.declared.type, column.declared.type)


def as_json(feed: Feed) -> Response:
    """The answer in JSON: decimals are text."""
    texts = {each.name for each in feed.columns if feed.edm_type(each) == "Edm.Decimal"}
    rows = [
        {
            name: str(value) if name in texts and value is not None else value
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
    """The answer as an Atom feed, in which each value tells its type."""
    types = {each.name: feed.edm_type(each) for each in feed.columns}
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


FORMS: Mapping[str, Callable[[Feed], Response]] = {"json": as_json, "atom": as_atom}
"""What ``$format`` may ask for."""


def form(feed: Feed, wanted: str, accept: str) -> Response:
    """The answer in the form that was asked for.

    Raises:
        Refusal: There is no such form.
    """
    name = wanted or ("json" if "json" in accept else "atom")
    if name not in FORMS:
        message = f"A supported MIME type could not be found for '{name}'."
        raise Refusal(message)
    return FORMS[name](feed)
