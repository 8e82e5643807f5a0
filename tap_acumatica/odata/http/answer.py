"""What one request brought, and the server's own words in it.

The shapes of error bodies are in docs/acumatica.md, "Error bodies".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RETRY_AFTER: Final = 600.0
"""Seconds; a longer Retry-After is cut to it."""

MAX_DETAIL_LENGTH: Final = 300
"""Characters of a server's own words that an error sentence quotes."""


class Credential(Enum):
    """What a request proved with who asks."""

    PASSWORD = auto()
    TOKEN = auto()
    """An access token that may have ended."""
    NEW_TOKEN = auto()
    """An access token that the server gave a moment ago."""
    REFRESH_TOKEN = auto()
    CODE = auto()
    """What the sign-in page gave."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """What one request brought: a response, or the exception in its place."""

    subject: str
    """What was asked for, as the user knows it: an entity set, or $metadata."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    exception: Exception | None = None
    first: bool = False
    """Nothing has succeeded in this run yet: a wrong setting is likelier than a passing fault."""
    credential: Credential = Credential.PASSWORD

    @property
    def is_page(self) -> bool:
        """Whether it is a web page; a column that holds one does not make it so."""
        if "html" in self.headers.get("Content-Type", "").lower():
            return True
        start = self.body[:500].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        return start.startswith(b"<") and b"<html" in start

    @property
    def message(self) -> str:
        """The server's own words, from any of the error shapes that are known."""
        return message_of(self.body)

    @property
    def error(self) -> str:
        """The code of an OAuth error: all of such an answer that may be shown.

        Other fields can repeat what was sent (docs/acumatica.md, "OAuth").
        """
        try:
            content = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""
        code = content.get("error") if isinstance(content, dict) else None
        return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""


def message_of(body: bytes) -> str:
    """The words in an error body: ASP.NET's, OData 4's, OData 3's, or plain text."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode("utf-8", "replace")
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)).strip()
    if not isinstance(content, dict):
        return str(content)
    if isinstance(inner := content.get("error") or content.get("odata.error"), dict):
        content = inner
    parts = {name.lower(): part for name, part in content.items()}
    words = parts.get("message")
    if isinstance(words, dict):
        words = words.get("value")
    found = [part for part in (words, parts.get("exceptionmessage")) if part]
    return " ".join(str(part) for part in found) or str(content)


def shortened(text: str) -> str:
    """The server's words, cut to what a sentence can carry."""
    return text if len(text) <= MAX_DETAIL_LENGTH else text[:MAX_DETAIL_LENGTH] + "…"


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the server asks to wait, from either form of Retry-After, clamped.

    Args:
        headers: Of the response.
        now: The server's clock; its Date header where not given.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", value):
        return min(float(value), MAX_RETRY_AFTER)
    until = http_date(value)
    now = now or http_date(headers.get("Date", ""))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def http_date(text: str) -> datetime | None:
    """The instant in a header; one that names no zone is in GMT, as all of HTTP's are."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
