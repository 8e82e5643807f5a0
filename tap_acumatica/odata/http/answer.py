"""The outcome of one request, and the server's own words in it.

The shapes of error bodies are in docs/acumatica.md, "Error bodies".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote_plus

import msgspec

from tap_acumatica.odata.masking import masking

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RETRY_AFTER: Final = 600.0
"""Seconds to which a longer Retry-After is cut."""

CLOCK_YEARS: Final = range(2000, 9000)
"""Years that a clock may show; with others a window could not be computed."""

MAX_DETAIL_LENGTH: Final = 300
"""Characters of the server's own words that an error message quotes."""

MAX_WORDS: Final = 100_000
"""Bytes of a refusal in which words are looked for, since it can be as large as a page."""

ODATA_HEADERS: Final = ("OData-Version", "DataServiceVersion")
"""Headers of OData services."""

ACUMATICA_COOKIES: Final = re.compile(r"\b(?:UserBranch=|Locale=TimeZone)", re.IGNORECASE)
"""Cookies that all recorded responses of Acumatica set."""

ERROR_FIELDS: Final = frozenset({"message", "exceptionmessage", "error", "odata.error"})
"""Fields of Acumatica's error bodies, in lower case."""


class Credential(Enum):
    """The kind of credential with which a request was sent."""

    PASSWORD = auto()
    TOKEN = auto()
    """An access token that may have expired."""
    NEW_TOKEN = auto()
    """An access token that was issued a moment ago."""
    REFRESH_TOKEN = auto()
    CODE = auto()
    """The authorization code from the sign-in page."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """The outcome of one request: a response, or the exception that was raised instead."""

    subject: str
    """What was requested, as the user knows it: an entity set, or $metadata."""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    exception: Exception | None = None
    first: bool = False
    """Whether no request of the run has succeeded yet, so that a wrong setting is likely."""
    credential: Credential = Credential.PASSWORD
    resizable: bool = False
    """Whether the same can be requested in smaller pages."""

    @property
    def location(self) -> str:
        """The address to which the response redirects, decoded; empty if it does not."""
        redirects = self.status // 100 == HTTPStatus.MULTIPLE_CHOICES // 100
        return unquote_plus(self.headers.get("Location", "")) if redirects else ""

    @property
    def is_own(self) -> bool:
        """Whether it shows that Acumatica itself answered, not a firewall or the web server.

        It is not known with which body Acumatica refuses an entity. So anything will do that only
        an application sends: an error in the format of OData or ASP.NET, a header of OData or one
        of Acumatica's cookies (docs/acumatica.md, "Error bodies"). A web page never does: a server
        on the way would send the same, even within a session.
        """
        if self.is_page:
            return False
        if any(name in self.headers for name in ODATA_HEADERS):
            return True
        if ACUMATICA_COOKIES.search(self.headers.get("Set-Cookie", "")):
            return True
        content = json_in(self.body)
        if content is None:
            return re.match(rb"\s*(?:<\?[^>]*>\s*)?<(?:\w+:)?error\b", self.body) is not None
        return isinstance(content, dict) and any(n.lower() in ERROR_FIELDS for n in content)

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page, as opposed to data that contain one."""
        if "html" in self.headers.get("Content-Type", "").lower():
            return True
        start = self.body[:500].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        return start.startswith(b"<") and b"<html" in start

    @property
    def message(self) -> str:
        """The server's own words, from any known shape of error body or the redirect's address."""
        if self.location:
            query = self.headers["Location"].partition("?")[2]
            return " ".join(parse_qs(query).get("message", ()))
        return message_of(self.body)

    def mentions(self, pattern: re.Pattern[str]) -> bool:
        """Whether a refusal, a redirect or a web page contains this anywhere; data never do."""
        if self.status == HTTPStatus.OK and not self.is_page:
            return False
        words = self.location or self.body[:MAX_WORDS].decode("utf-8", "replace")
        return bool(pattern.search(words))

    @property
    def oauth_error(self) -> str:
        """The code of an OAuth error, or an empty text.

        No other field may be shown, as it can repeat what was sent (docs/acumatica.md, "OAuth").
        """
        content = json_in(self.body)
        code = content.get("error") if isinstance(content, dict) else None
        return code if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""


def json_in(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return the content of a JSON body; None if it is none, or nested too deeply to be read."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def message_of(body: bytes) -> str:
    """Return the message in an error body of ASP.NET, OData 4 or OData 3, or of plain text."""
    content = json_in(body)
    if content is None:
        # Masked before the tags go: a secret may look like one, or hold one.
        text = masking.masked(body[:MAX_WORDS].decode("utf-8", "replace"))
        return re.sub(r"\s+", " ", re.sub(r"<[^<>]*>", " ", text)).strip()
    if not isinstance(content, dict):
        return str(content)[:MAX_WORDS]
    if isinstance(inner := content.get("error") or content.get("odata.error"), dict):
        content = inner
    fields = {name.lower(): value for name, value in content.items()}
    message = fields.get("message")
    if isinstance(message, dict):
        message = message.get("value")
    messages = [text for text in (message, fields.get("exceptionmessage")) if text]
    return (" ".join(str(text) for text in messages) or str(content))[:MAX_WORDS]


def shortened(text: str) -> str:
    """Cut the server's own words to the length that an error message quotes."""
    return text if len(text) <= MAX_DETAIL_LENGTH else text[:MAX_DETAIL_LENGTH] + "…"


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that the server asks to wait, from either form of Retry-After, clamped.

    Args:
        headers: The response's headers.
        now: The server's time, by default that of its Date header.
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
    """Return the instant in a header, in UTC; None if it is none, or one that no clock shows.

    Without a zone it is in GMT, as HTTP requires.
    """
    try:
        moment = parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year in CLOCK_YEARS else None
