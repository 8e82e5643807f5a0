"""Sign-in, sessions, and the log and counters of requests."""

from __future__ import annotations

import base64
import binascii
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from sandbox.errors import Refusal

COOKIE = "ASP.NET_SessionId"


@dataclass
class RequestRecord:
    """The log record of one request.

    Attributes:
        path: Decoded path.
        query: Decoded query options.
        headers: Request headers by lower-case name, without the credentials.
        status: Status of the response, or None if there is none yet or at all.
        session: Id of the session that served the request.
        kind: Kind of the request: service, metadata, data, count, logout, identity or other.
        raw_query: The query as sent.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    status: int | None = None
    session: str | None = None
    kind: str = "other"
    raw_query: str = ""


@dataclass
class Counters:
    """Counts of events since the start or the last reset."""

    requests: Counter[str] = field(default_factory=Counter)
    total: int = 0
    metadata_requests: int = 0
    data_requests: int = 0
    counts_requests: int = 0
    sessions_open: int = 0
    sessions_opened: int = 0
    signed_out: int = 0
    unauthorized: int = 0
    delayed: int = 0
    most_at_once: int = 0


@dataclass
class Session:
    """A signed-in session, which serves one request at a time.

    Attributes:
        stuck: Whether the session stays busy with a request whose client has left.
        last_answer: What the fault ``repeated`` sends once more.
    """

    id: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    stuck: bool = False
    last_answer: bytes = b""


def basic_credentials(header: str | None) -> str | None:
    """Return the ``user:password`` of a Basic Authorization header in UTF-8, if valid."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def session_id(header: str | None) -> str | None:
    """Return the session id in a Cookie header, if there is one."""
    try:
        cookie = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None


class Sessions:
    """The open sessions and the counters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        self._serial = 0
        self._busy = 0
        self.counters = Counters()
        self.log: list[RequestRecord] = []

    def enter(self, record: RequestRecord) -> None:
        """Log and count an incoming request."""
        with self._lock:
            self.log.append(record)
            counters = self.counters
            counters.requests[record.path] += 1
            counters.total += 1
            counters.metadata_requests += record.kind == "metadata"
            counters.data_requests += record.kind == "data"
            counters.counts_requests += record.kind == "count"
            self._busy += 1
            counters.most_at_once = max(counters.most_at_once, self._busy)

    def leave(self) -> None:
        """Record the end of a request."""
        with self._lock:
            self._busy -= 1

    def count_unauthorized(self) -> None:
        """Count a request with wrong or missing credentials."""
        with self._lock:
            self.counters.unauthorized += 1

    def count_delayed(self) -> None:
        """Count a request that the licence delays."""
        with self._lock:
            self.counters.delayed += 1

    def find_or_open(self, cookie: str | None, limit: int | None) -> tuple[Session, bool]:
        """Return the session of a cookie or open one, and whether the session is new.

        Raises:
            Refusal: The licence allows no further session.
        """
        with self._lock:
            if cookie in self._open:
                return self._open[cookie], False
            if limit is not None and len(self._open) >= limit:
                message = "API Login Limit"
                raise Refusal(message, HTTPStatus.TOO_MANY_REQUESTS)
            self._serial += 1
            session = Session(f"sbx{self._serial:021d}")
            self._open[session.id] = session
            self.counters.sessions_opened += 1
            self.counters.sessions_open = len(self._open)
            return session, True

    def close(self, cookie: str | None) -> None:
        """End the session of a cookie, if there is one."""
        with self._lock:
            if cookie is not None and self._open.pop(cookie, None) is not None:
                self.counters.signed_out += 1
                self.counters.sessions_open = len(self._open)

    def end_all(self) -> None:
        """End every session, as a restart of the server does."""
        with self._lock:
            self._open.clear()
            self.counters.sessions_open = 0

    def snapshot(self) -> Counters:
        """Return a copy of the counters."""
        with self._lock:
            return replace(self.counters, requests=Counter(self.counters.requests))

    def reset(self) -> None:
        """Reset the counters and the log; open sessions stay open."""
        with self._lock:
            self.counters = Counters(sessions_open=len(self._open))
            self.log.clear()
