"""Pages as Atom feeds, the way OData 3 writes them when it is not asked for JSON."""

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
# Parsers take a bare carriage return for a line break, so it is written as a reference; so are
# characters that XML does not have at all, as .NET does it, though no parser takes them then.
REFERENCES = {chr(code): f"&#x{code:X};" for code in (*range(9), 11, 12, *range(13, 32))}


def value(name: str, edm_type: str, given: object) -> str:
    """The element of one value; a string needs no type, and what is null has no text."""
    typed = "" if edm_type == "Edm.String" else f' m:type="{edm_type}"'
    if given is None:
        return f'<d:{name}{typed} m:null="true" />'
    if isinstance(given, bool):
        return f"<d:{name}{typed}>{str(given).lower()}</d:{name}>"
    text = str(given)
    kept = ' xml:space="preserve"' if text != text.strip() else ""
    return f"<d:{name}{typed}{kept}>{escape(text, REFERENCES)}</d:{name}>"


def entry(row: Mapping[str, object], types: Mapping[str, str], term: str) -> str:
    """One row."""
    columns = "".join(value(name, types[name], given) for name, given in row.items())
    return (
        f'<entry><category term={quoteattr(term)} scheme="{SCHEME}" /><id /><title />{UPDATED}'
        '<author><name /></author><content type="application/xml">'
        f"<m:properties>{columns}</m:properties></content></entry>"
    )


def feed(  # noqa: PLR0913 - what a feed consists of
    root: str,
    entity_set: str,
    rows: Iterable[Mapping[str, object]],
    types: Mapping[str, str],
    *,
    term: str = "",
    count: int | None = None,
    next_link: str | None = None,
) -> bytes:
    """A page of an entity set.

    Args:
        root: Address of the service, with a slash at the end.
        entity_set: Its name, as it stands in the address.
        rows: Each by column; numbers with the digits that are to be shown.
        types: The Edm types of all columns, by name.
        term: Qualified name of the entity type.
        count: How many rows fit the filter, where it was asked for (``$inlinecount``).
        next_link: Where the next page is.
    """
    spaces = f'xmlns="http://www.w3.org/2005/Atom" xmlns:d="{DATA}" xmlns:m="{METADATA}"'
    head = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f"<feed xml:base={quoteattr(root)} {spaces}>",
        "" if count is None else f"<m:count>{count}</m:count>",
        f"<id>{escape(root + entity_set)}</id>",
        f'<title type="text">{escape(entity_set)}</title>{UPDATED}',
        f'<link rel="self" title={quoteattr(entity_set)} href={quoteattr(entity_set)} />',
    ]
    entries = [entry(row, types, term) for row in rows]
    link = "" if next_link is None else f'<link rel="next" href={quoteattr(next_link)} />'
    return "".join([*head, *entries, link, "</feed>"]).encode()
