"""Sends requests and brings answers, or an error that names its cause."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

import backoff
import requests

from tap_acumatica.odata.answer import Answer, http_date
from tap_acumatica.odata.errors import (
    Action,
    AcumaticaError,
    BrokenPayload,
    RequestFailed,
    failure,
)
from tap_acumatica.odata.log import logger, masking, tell
from tap_acumatica.odata.sessions import Connection, ConnectionPool, PoolSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from requests.auth import AuthBase

Content = TypeVar("Content")

CONNECT_TIMEOUT: Final = 30.0
SIGN_OUT_TIMEOUT: Final = 5.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between two tries where the server names no time."""
PART: Final = 65_536
"""Bytes of a streamed answer that are decoded at once."""
SHORTEST_PAUSE: Final = 0.5
"""Seconds, whatever the server says: a Retry-After of 0 must not lead to a storm without end."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How requests are sent (times in seconds)."""

    timeout: float = 660.0
    max_retry_time: float = 900.0
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: bool | str = True
    pool: PoolSettings = field(default_factory=PoolSettings)
    verbosity: int = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One GET.

    Attributes:
        url: With its query string, encoded.
        subject: What is asked for, as the user knows it.
        owner: Whose connections to use: one text for each tenant.
        accept: Content type to ask for.
    """

    url: str
    subject: str
    owner: str
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class Reply(Generic[Content]):
    """A good answer.

    Attributes:
        content: The decoded body.
        date: The server's clock, or None.
        locale: The Locale cookie, which names the account's time zone, or None.
        retries: Times that it was asked for in vain before.
    """

    content: Content
    date: datetime | None
    locale: str | None
    retries: int = 0


class Client:
    """Requests of one account: a connection pool, retries, the error table and sign-out.

    The first request of a run goes alone, and a refused sign-in is never sent again: accounts
    lock.
    """

    def __init__(self, settings: ClientSettings, auth: AuthBase) -> None:
        self.requests = 0
        self.retries = 0
        self._settings = settings
        self._auth = auth
        self._pool = ConnectionPool(settings.pool, self._new_session)
        self._first = threading.Lock()
        self._succeeded = threading.Event()
        self._refused: RequestFailed | None = None
        self._closed = False
        self._counting = threading.Lock()

    def get(self, request: Request, decode: Callable[[bytes], Content]) -> Reply[Content]:
        """Send a GET and decode its answer, again where the error table says so.

        Raises:
            RequestFailed: What came back is no answer to work with, or not within patience.
            InconsistentAnswer: `decode` found other content than it was told to expect.
        """
        return self._get(request, decode, streamed=False)

    def get_stream(
        self, request: Request, decode: Callable[[Iterable[bytes]], Content]
    ) -> Reply[Content]:
        """As `get`, of an answer that is decoded while it arrives and never held as a whole."""
        return self._get(request, decode, streamed=True)

    def _get(
        self, request: Request, decode: Callable[[Any], Content], *, streamed: bool
    ) -> Reply[Content]:
        patience = _Patience(self._settings.max_retry_time)
        retries = 0

        def count_retry(_: object) -> None:
            nonlocal retries
            retries += 1
            self._count_retry()

        @backoff.on_exception(
            backoff.runtime,
            RequestFailed,
            value=patience.pause,
            giveup=patience.exhausted,
            on_backoff=count_retry,
            jitter=None,
            logger=None,
        )
        def attempt() -> Reply[Content]:
            return self._send(request, decode, streamed=streamed)

        reply = attempt()
        return replace(reply, retries=retries) if retries else reply

    def close(self, site: str) -> None:
        """Sign out of every session that is not executing a request (best effort).

        No request is sent after this.
        """
        self._closed = True
        deadline = time.monotonic() + SIGN_OUT_TIMEOUT
        for connection in self._pool.drain():
            if connection.signed_in and time.monotonic() < deadline:
                self._sign_out(connection, site, deadline - time.monotonic())
            connection.session.close()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": "tap-acumatica", **self._settings.headers})
        return session

    def _send(
        self, request: Request, decode: Callable[[Any], Content], *, streamed: bool
    ) -> Reply[Content]:
        with self._first:
            if not self._succeeded.is_set():
                return self._exchange(request, decode, streamed=streamed)
        return self._exchange(request, decode, streamed=streamed)

    def _exchange(
        self, request: Request, decode: Callable[[Any], Content], *, streamed: bool
    ) -> Reply[Content]:
        if self._refused:
            raise self._refused
        if self._closed:
            message = f"The run has ended before {request.subject} was read."
            raise AcumaticaError(message)
        with self._counting:
            self.requests += 1
        started = time.monotonic()
        first = not self._succeeded.is_set()
        try:
            with self._pool.connection(request.owner) as connection:
                response = self._fetch(connection, request, streamed=streamed)
                tell(response, self._settings.verbosity)
                cookies = [c.value for c in connection.session.cookies if c.name == "Locale"]
                body = _Body(response, in_parts=streamed)
                answer = Answer(
                    request.subject, response.status_code, response.headers, body.head, first=first
                )
                failed = failure(answer)
                decoded = body.decoded(decode) if streamed and not failed else None
            content = decoded() if decoded else None if failed else decode(body.head)
        except (requests.exceptions.RequestException, BrokenPayload) as error:
            answer = Answer(request.subject, exception=error, first=first)
            failed = failure(answer)
        seconds = time.monotonic() - started
        if failed:
            logger.warning(
                "GET %s: %s (%s) after %.2f s", request.url, failed.cause, answer.status, seconds
            )
            if failed.cause in {"sign-in refused", "account locked"}:
                self._refused = failed
            raise failed
        self._succeeded.set()
        logger.info("GET %s: %d bytes in %.2f s", request.url, body.length, seconds)
        date = http_date(response.headers.get("Date", ""))
        return Reply(content, date, cookies[-1] if cookies else None)  # type: ignore[arg-type]

    def _fetch(
        self, connection: Connection, request: Request, *, streamed: bool
    ) -> requests.Response:
        return connection.session.get(
            request.url,
            headers={"Accept": request.accept},
            auth=self._auth,
            timeout=(CONNECT_TIMEOUT, self._settings.timeout),
            allow_redirects=False,
            # Given here, since requests lets the environment overrule the session's.
            verify=self._settings.verify,
            stream=streamed,
        )

    def _sign_out(self, connection: Connection, site: str, timeout: float) -> None:
        try:
            connection.session.post(
                f"{site}/entity/auth/logout",
                headers={"Content-Length": "0"},
                timeout=timeout,
                allow_redirects=False,
                verify=self._settings.verify,
            )
        except requests.exceptions.RequestException as error:
            logger.warning("Sign-out failed: %s", masking.masked(str(error)))

    def _count_retry(self) -> None:
        with self._counting:
            self.retries += 1


class _Body:
    """The body of a response: as a whole, or in parts of which the first is looked at."""

    def __init__(self, response: requests.Response, *, in_parts: bool) -> None:
        self._response = response
        in_parts = in_parts and response.status_code == HTTPStatus.OK
        self._parts = response.iter_content(PART) if in_parts else iter(())
        self.head = next(self._parts, b"") if in_parts else response.content
        self.length = len(self.head)

    def decoded(self, decode: Callable[[Iterable[bytes]], Content]) -> Callable[[], Content]:
        """What the parts hold, or the error in them, once the connection was given back."""
        try:
            content = decode(chain([self.head], self._rest()))
        except BrokenPayload as error:
            # The connection is fit for further requests only when nothing is left in it.
            self._response.close()
            return partial(_raise, error)
        return lambda: content

    def _rest(self) -> Iterator[bytes]:
        for part in self._parts:
            self.length += len(part)
            yield part


def _raise(error: Exception) -> NoReturn:
    raise error


class _Patience:
    """How long to go on asking; the time inside requests does not count."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._waits = backoff.expo(base=2, factor=1, max_value=LONGEST_PAUSE)
        next(self._waits)
        self._next = 0.0

    def exhausted(self, failed: Exception) -> bool:
        """Whether to give up on this failure; else the pause before the next try is set."""
        if not isinstance(failed, RequestFailed) or failed.action is not Action.RETRY:
            return True
        pause = next(self._waits) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        self._next = max(pause if failed.wait is None else failed.wait, SHORTEST_PAUSE)
        self._left -= self._next
        return self._left < 0

    def pause(self, _: Exception) -> float:
        """Seconds until the next try."""
        return self._next
