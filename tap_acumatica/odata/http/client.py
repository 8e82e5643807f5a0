"""The HTTP client: sends requests, and returns decoded responses or raises classified errors."""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from tap_acumatica.odata.errors import (
    Action,
    AcumaticaError,
    BrokenPayload,
    Cause,
    ErrorInPayload,
    InconsistentAnswer,
    RequestFailed,
)
from tap_acumatica.odata.http.answer import Credential, RawResponse, http_date
from tap_acumatica.odata.http.auth import NoAuth
from tap_acumatica.odata.http.error_table import classify
from tap_acumatica.odata.http.rate_limit import RateLimiter
from tap_acumatica.odata.http.retry import with_retries
from tap_acumatica.odata.http.sessions import Connection, ConnectionPool, PoolSettings
from tap_acumatica.odata.http.transport import MEGABYTE, chunks, new_session
from tap_acumatica.odata.log import REQUESTS, log_exchange, logger, shown_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    import requests

    from tap_acumatica.odata.http.auth import Auth, Authorization

Content = TypeVar("Content")

FINAL: Final = frozenset({Cause.SIGN_IN_REFUSED, Cause.ACCOUNT_LOCKED, Cause.TOKEN_REFUSED})
"""Causes after which an account is not used again in a run: repeated failures lock accounts."""
CONNECT_TIMEOUT: Final = 30.0
"""In seconds."""
SIGN_OUT_TIMEOUT: Final = 5.0
"""Seconds for signing out of all sessions together."""
BUSY_TIMEOUT: Final = 2.0
"""The part of those seconds to wait for pending requests, whose sessions are signed out then."""
SIGN_IN_TURN: Final = 2.0
"""Seconds for which a sign-in holds up the next: a refusal comes sooner, a heavy page later."""
RETRY_TIME_IN_DOUBT: Final = 60.0
"""Maximum retry time in seconds after a request used up its own: the site may be down."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The settings of a client (times in seconds).

    Attributes:
        per_minute: The maximum number of requests within a minute; None for no limit.
        max_response_size: The maximum size of a decompressed response, in bytes.
    """

    timeout: float = 660.0
    max_retry_time: float = 900.0
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: bool | str = True
    pool: PoolSettings = field(default_factory=PoolSettings)
    verbosity: int = 1
    per_minute: int | None = None
    max_response_size: int = 256 * MEGABYTE


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Upper bounds for the settings of timeouts and retries (seconds)."""

    timeout: float = math.inf
    retry_time: float = math.inf

    def applied(self, settings: ClientSettings) -> ClientSettings:
        """Return the settings, lowered to these bounds."""
        return replace(
            settings,
            timeout=min(settings.timeout, self.timeout),
            max_retry_time=min(settings.max_retry_time, self.retry_time),
        )


UNLIMITED: Final = RetryLimits()
"""Leaves the settings as they are."""


@dataclass(frozen=True, slots=True)
class Request:
    """A GET request.

    Attributes:
        url: The URL with its encoded query string.
        subject: What is requested, as the user knows it.
        owner: The owner of the connections to use; each tenant has its own.
        accept: The content type for the Accept header.
        auth: The account, or None for the client's own.
        resizable: Whether the caller can request the same in smaller pages.
        searching: Whether the service may be at another address, so that a 404 of any kind is told
            at once.
        without: The header of all requests that this one leaves out; empty for none.
    """

    url: str
    subject: str
    owner: str
    accept: str = "application/json"
    auth: Auth | None = None
    resizable: bool = False
    searching: bool = False
    without: str = ""


@dataclass(frozen=True, slots=True)
class Result(Generic[Content]):
    """The decoded response to a successful request.

    Attributes:
        content: The decoded body.
        date: The server's time, or None if the response has no Date header.
        locale: The Locale cookie, which names the account's time zone, or None.
        retries: The number of attempts that failed before this one.
    """

    content: Content
    date: datetime | None
    locale: str | None
    retries: int = 0


@dataclass(frozen=True, slots=True)
class _Attempt(Generic[Content]):
    """One attempt to send a request.

    Attributes:
        decode: Decodes the whole body, or its chunks if the response is streamed.
    """

    request: Request
    decode: Callable[[Any], Content]
    auth: Auth
    authorization: Authorization
    streamed: bool


class Client:
    """The client for all requests of a run: connection pool, retries, error table and sign-out.

    The first request of a run is sent alone, connections sign in one after the other, and a refused
    sign-in is never repeated, since repeated failures lock accounts.
    """

    def __init__(self, settings: ClientSettings, auth: Auth, site: str = "") -> None:
        """Prepare the client without sending anything.

        Args:
            settings: The client's settings.
            auth: The account for requests that do not name one.
            site: Where idle sessions are signed out when the licence allows no more sessions.
        """
        self.requests = 0
        self.retries = 0
        self.verbosity = settings.verbosity
        self._settings = settings
        self._auth = auth
        self._site = site
        self._rate_limiter = RateLimiter(settings.per_minute)
        self._pool = ConnectionPool(settings.pool, self._new_session)
        self._first_request_lock = threading.Lock()
        self._sign_in_queue = threading.Lock()
        self._sign_in_turn = threading.Lock()
        self._room_lock = threading.Lock()
        self._room_made = 0
        """How often idle sessions were signed out, so that others could begin."""
        self._succeeded = threading.Event()
        self._refused: dict[Auth, RequestFailed] = {}
        self._doubted: set[str] = set()
        """Owners of which a request used up its retry time, until they are trusted again."""
        self._site_in_doubt = False
        """Whether a request used up its retry time, and none has succeeded since."""
        self._closed = False
        self._reason: BaseException | None = None
        self._counter_lock = threading.Lock()

    def get(self, request: Request, decode: Callable[[bytes], Content]) -> Result[Content]:
        """Send a request and decode its response, with retries as the error table says.

        Raises:
            RequestFailed: The request failed for good, or its retries are exhausted.
            InconsistentAnswer: `decode` found content that contradicts the request.
        """
        return self._get(request, decode, streamed=False)

    def get_stream(
        self, request: Request, decode: Callable[[Iterable[bytes]], Content]
    ) -> Result[Content]:
        """Do the same as `get`, but decode the body while it arrives, without holding all of it."""
        return self._get(request, decode, streamed=True)

    def _get(
        self, request: Request, decode: Callable[[Any], Content], *, streamed: bool
    ) -> Result[Content]:
        auth = request.auth or self._auth
        retries = 0
        doubted = False

        def count_retry() -> None:
            nonlocal retries
            retries += 1
            with self._counter_lock:
                self.retries += 1

        def attempt() -> Result[Content]:
            nonlocal doubted
            authorization = auth.authorize()
            while True:
                try:
                    return self._send(_Attempt(request, decode, auth, authorization, streamed))
                except InconsistentAnswer as error:
                    # It may be the answer to another request: another connection tells.
                    if doubted:
                        raise
                    doubted = True
                    logger.warning("%s The request is sent once more.", error)
                    count_retry()
                    continue
                except RequestFailed as failed:
                    if request.searching and _is_page_not_found(failed):
                        failed.action = Action.SKIP
                    if failed.action is not Action.REFRESH:
                        raise
                authorization = auth.reauthorize(authorization)

        try:
            result = self.retry(attempt, request.owner, count_retry)
        except AcumaticaError as error:
            error.attempts = retries + (not isinstance(error, _NotSentError))
            raise
        return replace(result, retries=retries) if retries else result

    def retry(
        self,
        attempt: Callable[[], Content],
        owner: str,
        on_retry: Callable[[], None] | None = None,
    ) -> Content:
        """Try until an attempt succeeds, within the retry time that the owner has now.

        Raises:
            RequestFailed: The last failure, or one that must not be retried.
        """
        retry_time = self._settings.max_retry_time
        if self._site_in_doubt or owner in self._doubted:
            retry_time = min(retry_time, RETRY_TIME_IN_DOUBT)
        try:
            result = with_retries(attempt, retry_time, on_retry)
        except RequestFailed as failed:
            if failed.action is Action.RETRY:
                self._doubted.add(owner)
                self._site_in_doubt = True
            raise
        self._site_in_doubt = False
        return result

    @property
    def succeeded(self) -> bool:
        """Whether a request of the run has succeeded yet."""
        return self._succeeded.is_set()

    def trust(self, owner: str) -> None:
        """Let the owner's requests be retried for their whole time again.

        A single answer is no reason: where a stream fails on each of its pages, its first request
        may well succeed, and so may that of the next one.
        """
        self._doubted.discard(owner)

    def get_once(self, request: Request) -> RawResponse:
        """Send a request once, and return its outcome without classifying it.

        A refusal has no consequences: this is for addresses to which the account may have no right.
        """
        auth = request.auth or self._auth
        authorization = auth.authorize()
        self._rate_limiter.acquire()
        with self._counter_lock:
            self.requests += 1
        try:
            with self._pool.connection(request.owner) as connection:
                self._require_open(request, auth)
                response = self._fetch(connection, request, authorization)
                body = b"".join(chunks(response, self._settings.max_response_size))
                log_exchange(response, body, self._settings.verbosity)
        except OSError as error:
            return RawResponse(request.subject, exception=error)
        self._log_request(request.url, str(response.status_code))
        return RawResponse(request.subject, response.status_code, response.headers, body)

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return self._pool.in_use > 0

    def close(self, site: str, reason: BaseException | None = None) -> None:
        """Sign out of all sessions (best effort); no request is sent after this.

        Wait shortly for pending requests, and include sessions in which a request timed out, since
        the server may have finished it in the meantime.

        Args:
            site: Where to sign out.
            reason: Raised in place of sending further requests; an `AcumaticaError` by default.
        """
        self._closed = True
        self._reason = self._reason or reason
        deadline = time.monotonic() + SIGN_OUT_TIMEOUT
        self._sign_out_all(self._pool.drain(), site, deadline)
        self._pool.wait_until_idle(min(BUSY_TIMEOUT, deadline - time.monotonic()))
        self._sign_out_all([*self._pool.drain(), *self._pool.drain_timed_out()], site, deadline)

    def _new_session(self) -> requests.Session:
        session = new_session()
        session.headers.update({"User-Agent": "tap-acumatica", **self._settings.headers})
        return session

    def _send(self, attempt: _Attempt[Content]) -> Result[Content]:
        with self._first_request_lock:
            if not self._succeeded.is_set():
                return self._exchange(attempt)
        while True:
            room_made = self._room_made
            try:
                return self._exchange(attempt)
            except RequestFailed as failed:
                if failed.cause is not Cause.API_LOGIN_LIMIT:
                    raise
                if not self._make_room(attempt.request.owner, room_made):
                    raise

    def _make_room(self, owner: str, room_made: int) -> bool:
        """Sign out of other owners' idle sessions, or go on with fewer; False if neither helps.

        Args:
            owner: The owner that was refused a session.
            room_made: How often room had been made when its request began.
        """
        with self._room_lock:
            if self._room_made == room_made and self._sign_out_idle(lambda each: each != owner):
                self._room_made += 1
            return self._room_made != room_made or self._pool.shrink()

    def sign_out(self, owner: str) -> None:
        """Sign out of an owner's idle sessions."""
        with self._room_lock:
            self._room_made += self._sign_out_idle(lambda each: each == owner)

    def _sign_out_idle(self, which: Callable[[str], bool]) -> bool:
        """Sign out of the idle sessions of these owners; return whether there were any."""
        idle = [connection for connection in self._pool.drain(which) if connection.signed_in]
        self._sign_out_all(idle, self._site, time.monotonic() + SIGN_OUT_TIMEOUT)
        return bool(idle)

    def _exchange(self, attempt: _Attempt[Content]) -> Result[Content]:
        request, authorization = attempt.request, attempt.authorization
        self._require_open(request, attempt.auth)
        self._rate_limiter.acquire()
        with self._counter_lock:
            self.requests += 1
        started = time.monotonic()
        first = not self._succeeded.is_set()
        outcome = RawResponse(request.subject, first=first, resizable=request.resizable)
        try:
            with (
                self._pool.connection(request.owner) as connection,
                self._signing_in(connection, authorization) as turn,
            ):
                self._require_open(request, attempt.auth)
                is_new = not connection.signed_in
                response = self._fetch(connection, request, authorization)
                if response.status_code == HTTPStatus.OK:
                    turn.close()
                locales = [c.value for c in connection.session.cookies if c.name == "Locale"]
                body = _Body(response, self._settings.max_response_size, streamed=attempt.streamed)
                log_exchange(response, body.head, self._settings.verbosity)
                outcome = replace(
                    outcome,
                    status=response.status_code,
                    headers=response.headers,
                    body=body.head,
                    credential=authorization.credential,
                )
                failed = self._classified(outcome, attempt.auth)
                if failed:
                    self._leave(connection, outcome, failed)
                    connection.refused = is_new and failed.cause is Cause.API_LOGIN_LIMIT
                streamed = attempt.streamed and not failed
                decoded = body.decoded(attempt.decode) if streamed else None
            try:
                content = decoded() if decoded else None if failed else attempt.decode(body.head)
            except (BrokenPayload, InconsistentAnswer):
                connection.session.close()
                raise
        except ErrorInPayload as error:
            # The server had begun to answer when it failed.
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            outcome = replace(outcome, status=status, body=error.body)
            failed = self._classified(outcome, attempt.auth)
        except (OSError, BrokenPayload) as error:
            outcome = replace(outcome, status=0, exception=error)
            failed = self._classified(outcome, attempt.auth)
        seconds = time.monotonic() - started
        if failed:
            failed.seconds = seconds
            url = shown_url(request.url, self.verbosity)
            logger.warning(
                "GET %s: %s (%s) after %.2f s", url, failed.cause, outcome.status, seconds
            )
            raise failed
        self._succeeded.set()
        self._log_request(request.url, f"{body.length} bytes in {seconds:.2f} s")
        date = http_date(response.headers.get("Date", ""))
        return Result(content, date, locales[-1] if locales else None)  # type: ignore[arg-type]

    def _classified(self, outcome: RawResponse, auth: Auth) -> RequestFailed | None:
        """Return the failure in an outcome, or None; an account that was refused is remembered."""
        failed = classify(outcome)
        if failed and failed.cause in FINAL:
            self._refused[auth] = failed
        return failed

    @contextmanager
    def _signing_in(
        self, connection: Connection, authorization: Authorization
    ) -> Iterator[ExitStack]:
        """Wait for the turn of a connection that signs in with a password; closing it ends it.

        Otherwise a password that is refused under way would go out once for each connection.
        """
        with ExitStack() as turn:
            signs_in = connection.authorization is None
            if signs_in and authorization.credential is Credential.PASSWORD:
                with self._sign_in_queue:  # each waits for all of its time
                    if self._sign_in_turn.acquire(timeout=SIGN_IN_TURN):
                        turn.callback(self._sign_in_turn.release)
            yield turn

    def _log_request(self, url: str, result: str) -> None:
        if self.verbosity >= REQUESTS:
            logger.info("GET %s: %s", shown_url(url, self.verbosity), result)

    @staticmethod
    def _leave(connection: Connection, outcome: RawResponse, failed: RequestFailed) -> None:
        """Close a connection after a failure, so that no rest of it answers the next request."""
        connection.session.close()
        # A gateway gave up, but the server goes on.
        is_gateway = outcome.status > HTTPStatus.NOT_IMPLEMENTED
        connection.busy = failed.action is Action.SHRINK and is_gateway

    def _require_open(self, request: Request, auth: Auth) -> None:
        """Raise an error if the account was refused before, or if the run is over."""
        if auth in self._refused:
            raise self._refused[auth]
        if self._reason:
            raise self._reason
        if self._closed:
            message = f"The run ended before {request.subject} was read."
            raise _NotSentError(message)

    def _fetch(
        self, connection: Connection, request: Request, authorization: Authorization
    ) -> requests.Response:
        """Send a request; the body of its response is still to be read."""
        headers = {"Accept": request.accept, **({request.without: None} if request.without else {})}
        response = connection.session.get(
            request.url,
            headers=headers,
            auth=authorization,
            timeout=(CONNECT_TIMEOUT, self._settings.timeout),
            allow_redirects=False,
            # Set here, since requests lets the environment override the session's value.
            verify=self._settings.verify,
            stream=True,
        )
        if response.status_code != HTTPStatus.OK:
            # Others may be followed by more, such as the answer itself after an informational one.
            connection.session.close()
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            connection.authorization = authorization
        return response

    def _sign_out_all(self, connections: list[Connection], site: str, deadline: float) -> None:
        # A sign-out that hangs must not use up the time of the others, nor keep the process alive.
        threads = [
            threading.Thread(target=self._sign_out, args=(connection, site, deadline), daemon=True)
            for connection in connections
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _sign_out(self, connection: Connection, site: str, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if connection.signed_in and remaining > 0:
            try:
                connection.session.post(
                    f"{site}/entity/auth/logout",
                    headers={"Content-Length": "0"},
                    auth=connection.token or NoAuth(),
                    timeout=remaining,
                    allow_redirects=False,
                    verify=self._settings.verify,
                    stream=True,  # the body says nothing
                ).close()
            except OSError as error:
                logger.warning("Sign-out failed: %s", error)
        connection.session.close()


class _NotSentError(AcumaticaError):
    """A request was not sent, since the run is over."""


class _Body:
    """The body of a response, whole or streamed; `head` is all of it, or the first chunk."""

    def __init__(self, response: requests.Response, max_size: int, *, streamed: bool) -> None:
        self._response = response
        self._chunks = chunks(response, max_size)
        streamed = streamed and response.status_code == HTTPStatus.OK
        self.head = next(self._chunks, b"") if streamed else b"".join(self._chunks)
        self.length = len(self.head)

    def decoded(self, decode: Callable[[Iterable[bytes]], Content]) -> Callable[[], Content]:
        """Decode the chunks; the function that is returned then returns the content or raises.

        The error is raised later so that the connection returns to the pool as a working one.
        """
        try:
            content = decode(chain([self.head], self._rest()))
        except BrokenPayload as error:
            # A connection with an unread rest of a body cannot be used for further requests.
            self._response.close()
            return partial(_raise, error)
        return lambda: content

    def _rest(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.length += len(chunk)
            yield chunk


def _is_page_not_found(failed: RequestFailed) -> bool:
    """Whether something other than Acumatica says that there is nothing at the address."""
    return failed.cause is Cause.REFUSED_ON_THE_WAY and failed.status == HTTPStatus.NOT_FOUND


def _raise(error: Exception) -> NoReturn:
    raise error
