"""Sends requests and brings answers, or an error that names its cause."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

import requests

from tap_acumatica.odata.errors import Action, AcumaticaError, BrokenPayload, Cause, RequestFailed
from tap_acumatica.odata.http.answer import RawResponse, http_date
from tap_acumatica.odata.http.auth import NoAuth
from tap_acumatica.odata.http.error_table import classify
from tap_acumatica.odata.http.rate_limit import RateLimiter
from tap_acumatica.odata.http.retry import with_retries
from tap_acumatica.odata.http.sessions import Connection, ConnectionPool, PoolSettings
from tap_acumatica.odata.log import log_exchange, logger, masking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from tap_acumatica.odata.http.auth import Auth, Authorization

Content = TypeVar("Content")

FINAL: Final = frozenset({Cause.SIGN_IN_REFUSED, Cause.ACCOUNT_LOCKED, Cause.TOKEN_REFUSED})
"""Causes after which an account is not tried again in a run: accounts lock."""
CONNECT_TIMEOUT: Final = 30.0
SIGN_OUT_TIMEOUT: Final = 5.0
"""Seconds for the sign-out of all sessions together."""
BUSY_TIMEOUT: Final = 2.0
"""Seconds of these to wait for requests that are under way, so that they need no exception."""
SIGN_OUTS_AT_ONCE: Final = 8
RETRY_TIME_AFTER_OTHERS: Final = 60.0
"""Patience in seconds where a request of another owner was just given up: the site may be down."""
PART: Final = 65_536
"""Bytes of a streamed answer that are decoded at once."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How requests are sent (times in seconds).

    Attributes:
        per_minute: Most requests in a minute; None: any number.
    """

    timeout: float = 660.0
    max_retry_time: float = 900.0
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: bool | str = True
    pool: PoolSettings = field(default_factory=PoolSettings)
    verbosity: int = 1
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Upper bounds of what the settings say (seconds)."""

    timeout: float = math.inf
    retry_time: float = math.inf

    def applied(self, settings: ClientSettings) -> ClientSettings:
        """The settings within these bounds."""
        return replace(
            settings,
            timeout=min(settings.timeout, self.timeout),
            max_retry_time=min(settings.max_retry_time, self.retry_time),
        )


UNLIMITED: Final = RetryLimits()
"""The settings as they are."""


@dataclass(frozen=True, slots=True)
class Request:
    """One GET.

    Attributes:
        url: With its query string, encoded.
        subject: What is asked for, as the user knows it.
        owner: Whose connections to use: one text for each tenant.
        accept: Content type to ask for.
        auth: Who asks, where that is not the client's own account.
    """

    url: str
    subject: str
    owner: str
    accept: str = "application/json"
    auth: Auth | None = None


@dataclass(frozen=True, slots=True)
class Result(Generic[Content]):
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


@dataclass(frozen=True, slots=True)
class _Sending(Generic[Content]):
    """One try to send a request.

    Attributes:
        decode: Of the whole body, or of its parts where it is streamed.
    """

    request: Request
    decode: Callable[[Any], Content]
    auth: Auth
    signature: Authorization
    streamed: bool


class Client:
    """Requests of a run: a connection pool, retries, the error table and sign-out.

    The first request of a run goes alone, and a refused sign-in is never sent again: accounts
    lock.
    """

    def __init__(self, settings: ClientSettings, auth: Auth, site: str = "") -> None:
        """Prepare; nothing is sent yet.

        Args:
            settings: How to send.
            auth: Who asks, where a request does not say so.
            site: Where idle sessions are signed out if the licence allows no more of them.
        """
        self.requests = 0
        self.retries = 0
        self._settings = settings
        self._auth = auth
        self._site = site
        self._rate_limiter = RateLimiter(settings.per_minute)
        self._pool = ConnectionPool(settings.pool, self._new_session)
        self._first = threading.Lock()
        self._succeeded = threading.Event()
        self._refused: dict[Auth, RequestFailed] = {}
        self._given_up: str | None = None
        self._closed = False
        self._counting = threading.Lock()

    def get(self, request: Request, decode: Callable[[bytes], Content]) -> Result[Content]:
        """Send a GET and decode its answer, again where the error table says so.

        Raises:
            RequestFailed: What came back is no answer to work with, or not within patience.
            InconsistentAnswer: `decode` found other content than it was told to expect.
        """
        return self._get(request, decode, streamed=False)

    def get_stream(
        self, request: Request, decode: Callable[[Iterable[bytes]], Content]
    ) -> Result[Content]:
        """As `get`, of an answer that is decoded while it arrives and never held as a whole."""
        return self._get(request, decode, streamed=True)

    def _get(
        self, request: Request, decode: Callable[[Any], Content], *, streamed: bool
    ) -> Result[Content]:
        auth = request.auth or self._auth
        longest = self._settings.max_retry_time
        if self._given_up not in {None, request.owner}:
            longest = min(longest, RETRY_TIME_AFTER_OTHERS)
        retries = 0

        def count_retry() -> None:
            nonlocal retries
            retries += 1
            with self._counting:
                self.retries += 1

        def attempt() -> Result[Content]:
            signature = auth.authorize()
            while True:
                sending = _Sending(request, decode, auth, signature, streamed)
                try:
                    return self._send(sending)
                except RequestFailed as failed:
                    if failed.action is not Action.REFRESH:
                        raise
                signature = auth.reauthorize(signature)

        try:
            reply = with_retries(attempt, longest, count_retry)
        except RequestFailed as failed:
            if failed.action is Action.RETRY and self._given_up is None:
                self._given_up = request.owner
            raise
        self._given_up = None
        return replace(reply, retries=retries) if retries else reply

    def get_once(self, request: Request) -> RawResponse:
        """Send a GET once and bring whatever comes back, good or bad.

        Nothing follows from a refusal: it is for addresses that the account need not have.
        """
        auth = request.auth or self._auth
        signature = auth.authorize()
        self._rate_limiter.acquire()
        with self._counting:
            self.requests += 1
        try:
            with self._pool.connection(request.owner) as connection:
                self._require_open(request, auth)
                response = self._fetch(connection, request, signature)
                log_exchange(response, self._settings.verbosity)
            body = response.content
        except OSError as error:
            return RawResponse(request.subject, exception=error)
        logger.info("GET %s: %s", request.url, response.status_code)
        return RawResponse(request.subject, response.status_code, response.headers, body)

    def close(self, site: str) -> None:
        """Sign out of every session that is not executing a request (best effort).

        No request is sent after this. Requests that are about to end are waited for; those that
        timed out may have ended.
        """
        self._closed = True
        deadline = time.monotonic() + SIGN_OUT_TIMEOUT
        self._sign_out_all(self._pool.drain(), site, deadline)
        self._pool.wait_until_idle(min(BUSY_TIMEOUT, deadline - time.monotonic()))
        self._sign_out_all([*self._pool.drain(), *self._pool.given_up()], site, deadline)

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": "tap-acumatica", **self._settings.headers})
        return session

    def _send(self, sending: _Sending[Content]) -> Result[Content]:
        try:
            with self._first:
                if not self._succeeded.is_set():
                    return self._exchange(sending)
            try:
                return self._exchange(sending)
            except RequestFailed as failed:
                owner = sending.request.owner
                if failed.cause is not Cause.API_LOGIN_LIMIT or not self._make_room(owner):
                    raise
            return self._exchange(sending)
        except RequestFailed as failed:
            if failed.cause in FINAL:
                self._refused[sending.auth] = failed
            raise

    def _make_room(self, owner: str) -> bool:
        """Sign out of the idle sessions of other owners; whether there were any."""
        idle = [each for each in self._pool.drain(but=owner) if each.signed_in]
        self._sign_out_all(idle, self._site, time.monotonic() + SIGN_OUT_TIMEOUT)
        return bool(idle)

    def _exchange(self, sending: _Sending[Content]) -> Result[Content]:
        request, signature = sending.request, sending.signature
        self._require_open(request, sending.auth)
        self._rate_limiter.acquire()
        with self._counting:
            self.requests += 1
        started = time.monotonic()
        first = not self._succeeded.is_set()
        try:
            with self._pool.connection(request.owner) as connection:
                self._require_open(request, sending.auth)
                response = self._fetch(connection, request, signature, streamed=sending.streamed)
                log_exchange(response, self._settings.verbosity)
                cookies = [c.value for c in connection.session.cookies if c.name == "Locale"]
                body = _Body(response, in_parts=sending.streamed)
                answer = RawResponse(
                    request.subject,
                    response.status_code,
                    response.headers,
                    body.head,
                    first=first,
                    credential=signature.credential,
                )
                failed = classify(answer)
                streamed = sending.streamed and not failed
                decoded = body.decoded(sending.decode) if streamed else None
            content = decoded() if decoded else None if failed else sending.decode(body.head)
        except (OSError, BrokenPayload) as error:
            answer = RawResponse(request.subject, exception=error, first=first)
            failed = classify(answer)
        seconds = time.monotonic() - started
        if failed:
            logger.warning(
                "GET %s: %s (%s) after %.2f s", request.url, failed.cause, answer.status, seconds
            )
            raise failed
        self._succeeded.set()
        logger.info("GET %s: %d bytes in %.2f s", request.url, body.length, seconds)
        date = http_date(response.headers.get("Date", ""))
        return Result(content, date, cookies[-1] if cookies else None)  # type: ignore[arg-type]

    def _require_open(self, request: Request, auth: Auth) -> None:
        """Refuse to send anything more once the account was refused, or the run is over."""
        if auth in self._refused:
            raise self._refused[auth]
        if self._closed:
            message = f"The run has ended before {request.subject} was read."
            raise AcumaticaError(message)

    def _fetch(
        self,
        connection: Connection,
        request: Request,
        signature: Authorization,
        *,
        streamed: bool = False,
    ) -> requests.Response:
        response = connection.session.get(
            request.url,
            headers={"Accept": request.accept},
            auth=signature,
            timeout=(CONNECT_TIMEOUT, self._settings.timeout),
            allow_redirects=False,
            # Given here, since requests lets the environment overrule the session's.
            verify=self._settings.verify,
            stream=streamed,
        )
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            connection.signature = signature
        return response

    def _sign_out_all(self, connections: list[Connection], site: str, deadline: float) -> None:
        def sign_out(connection: Connection) -> None:
            if connection.signed_in and time.monotonic() < deadline:
                self._sign_out(connection, site, deadline - time.monotonic())
            connection.session.close()

        # One that hangs must not use up the time of the others.
        with ThreadPoolExecutor(SIGN_OUTS_AT_ONCE) as threads:
            list(threads.map(sign_out, connections))

    def _sign_out(self, connection: Connection, site: str, timeout: float) -> None:
        try:
            connection.session.post(
                f"{site}/entity/auth/logout",
                headers={"Content-Length": "0"},
                auth=connection.token or NoAuth(),
                timeout=timeout,
                allow_redirects=False,
                verify=self._settings.verify,
            )
        except OSError as error:
            logger.warning("Sign-out failed: %s", masking.masked(str(error)))


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
