"""Pages as Atom feeds, the default format of OData 3."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "application/atom+xml;type=feed;charset=utf-8"
DATA = "http://schemas.microsoft.com/ado/2007/08/dataservices"
METADATA = f"{DATA}/metadata"
SCHEME = f"{DATA}/scheme"
UPDATED = "<updated>2026-06-01T12:00:00Z</updated>"
# Parsers normalize a bare carriage return to a line feed, so it is written as a reference. So are
# the characters that XML does not allow: .NET writes them like this, though parsers reject them.
REFERENCES = {chr(code): f"&#x{code:X};" for code in (*range(9), 11, 12, *range(13, 32))}


def property_element(name: str, edm_type: str, value: object) -> str:
    """Return the element of one value; a string has no type, a null has no text."""
    type_attribute = "" if edm_type == "Edm.String" else f' m:type="{edm_type}"'
    if value is None:
        return f'<d:{name}{type_attribute} m:null="true" />'
    if isinstance(value, bool):
        return f"<d:{name}{type_attribute}>{str(value).lower()}</d:{name}>"
    text = str(value)
    space = ' xml:space="preserve"' if text != text.strip() else ""
    return f"<d:{name}{type_attribute}{space}>{escape(text, REFERENCES)}</d:{name}>"


def entry(row: Mapping[str, object], types: Mapping[str, str], term: str) -> str:
    """Return the entry of one row."""
    columns = "".join(property_element(name, types[name], value) for name, value in row.items())
    return (
        f'<entry><category term={quoteattr(term)} scheme="{SCHEME}" /><id /><title />{UPDATED}'
        '<author><name /></author><content type="application/xml">'
        f"<m:properties>{columns}</m:properties></content></entry>"
    )


def feed(  # noqa: PLR0913 - the parts of a feed
    root: str,
    entity_set: str,
    rows: Iterable[Mapping[str, object]],
    types: Mapping[str, str],
    *,
    term: str = "",
    count: int | None = None,
    next_link: str | None = None,
) -> bytes:
    """Return a page of an entity set as an Atom feed.

    Args:
        root: Address of the service root, with a slash at the end.
        entity_set: Name of the entity set, as in the address.
        rows: Values by column; numbers with the digits to show.
        types: Edm types by column.
        term: Qualified name of the entity type.
        count: Number of rows that fit the filter, if requested (``$inlinecount``).
        next_link: Address of the next page.
    """
    namespaces = f'xmlns="http://www.w3.org/2005/Atom" xmlns:d="{DATA}" xmlns:m="{METADATA}"'
    head = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f"<feed xml:base={quoteattr(root)} {namespaces}>",
        "" if count is None else f"<m:count>{count}</m:count>",
        f"<id>{escape(root + entity_set)}</id>",
        f'<title type="text">{escape(entity_set)}</title>{UPDATED}',
        f'<link rel="self" title={quoteattr(entity_set)} href={quoteattr(entity_set)} />',
    ]
    entries = [entry(row, types, term) for row in rows]
    link = "" if next_link is None else f'<link rel="next" href={quoteattr(next_link)} />'
    return "".join([*head, *entries, link, "</feed>"]).encode()
