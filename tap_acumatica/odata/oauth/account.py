"""OAuth accounts: the access token of each request, renewed before it expires, for all threads.

A refresh token is spent when it is sent. Hence tokens are requested in a thread of their own: a
signal that stops the run does not interrupt the request, and the end of the run waits for it.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from tap_acumatica.odata.errors import Action, AcumaticaError, Cause, RequestFailed
from tap_acumatica.odata.http.answer import Credential
from tap_acumatica.odata.http.auth import Auth, Authorization
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.masking import masking
from tap_acumatica.odata.oauth.tokens import MemoryTokenStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.oauth.identity_server import IdentityServer
    from tap_acumatica.odata.oauth.tokens import Token, TokenStore

Value = TypeVar("Value")


class Password:
    """User name and password, for all tenants. Once refused, they are not sent again."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._lock = threading.Lock()
        self._refused: RequestFailed | None = None

    def token(self, server: IdentityServer) -> Token:
        """Request a token for them, one tenant at a time, since repeated failures lock accounts.

        Raises:
            RequestFailed: The server issued no token.
        """
        with self._lock:
            if self._refused:
                raise self._refused
            try:
                return server.password(self._username, self._password)
            except RequestFailed as failed:
                if failed.cause in {
                    Cause.PASSWORD_REFUSED,
                    Cause.ACCOUNT_LOCKED_AT_SIGN_IN,
                }:
                    self._refused = failed
                raise


@dataclass(frozen=True, slots=True)
class InitialGrant:
    """The credentials in the settings, with which the first token is obtained."""

    refresh_token: str | None = None
    password: Password | None = None


class NotSignedIn(AcumaticaError):  # noqa: N818 - the words of the messages
    """No credentials are available for a token: a person has to sign in."""

    cause = Cause.NOT_SIGNED_IN


class Bearer(Authorization):
    """The authorization of a request by an access token."""

    def __init__(self, token: Token, is_good: Callable[[Token], bool], *, new: bool) -> None:
        super().__init__(f"Bearer {token.access_token}")
        self._token = token
        self._is_good = is_good
        self._new = new

    @property
    @override
    def credential(self) -> Credential:
        """The kind of token. A new one of a short lifetime may expire in the server's queue."""
        new = self._new and self._is_good(self._token)
        return Credential.NEW_TOKEN if new else Credential.TOKEN


class OAuth(Auth):
    """An account that signs in to one tenant with access tokens."""

    def __init__(
        self,
        server: IdentityServer,
        initial_grant: InitialGrant,
        store: TokenStore | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._initial_grant = initial_grant
        self._store = store or MemoryTokenStore()
        self._now = now
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refused: AcumaticaError | None = None

    @override
    def authorize(self) -> Authorization:
        token = self._token
        if token and self._is_good(token):
            return self._bearer(token)
        return run_detached(self._authorize)

    @override
    def reauthorize(self, refused: Authorization) -> Authorization:
        return run_detached(partial(self._reauthorize, refused))

    @override
    def close(self) -> None:
        self._server.close()

    @override
    def wait_for_token(self, until: float) -> None:
        if self._lock.locked():
            logger.info("Waiting for an access token that was requested")
        if self._lock.acquire(timeout=max(until - time.monotonic(), 0)):
            self._lock.release()

    def _authorize(self) -> Authorization:
        with self._lock:
            token = self._token or self._masked(self._store.read())
            if token is None or not self._is_good(token):
                return self._renew(None)
            self._token = token
            return self._bearer(token)

    def _reauthorize(self, refused: Authorization) -> Authorization:
        with self._lock:
            if self._token and self._bearer(self._token).header != refused.header:
                return self._bearer(self._token)  # another thread has renewed it
            return self._renew(refused)

    def _renew(self, refused: Authorization | None) -> Authorization:
        """Return the next token: one that another run has stored in the meantime, or a new one."""
        if self._refused:
            raise self._refused
        with self._store.updating() as update:
            stored = self._masked(update.token)
            if stored and self._is_good(stored):
                bearer = self._bearer(stored)
                if refused is None or bearer.header != refused.header:
                    self._token = stored
                    return bearer
            try:
                token = self._request_token(stored)
            except AcumaticaError as error:
                if not isinstance(error, RequestFailed) or error.action is Action.STOP:
                    self._refused = error
                raise
            masking.add(token.secrets)
            update.store(token)
        self._token = token
        # Only a token that replaces a refused one counts as new; any other is renewed if refused.
        return self._bearer(token, new=refused is not None)

    def _bearer(self, token: Token, *, new: bool = False) -> Bearer:
        return Bearer(token, self._is_good, new=new)

    def _request_token(self, stored: Token | None) -> Token:
        initial = self._initial_grant
        refresh_token = stored.refresh_token if stored else initial.refresh_token
        if refresh_token:
            try:
                return self._server.refresh(refresh_token)
            except RequestFailed as failed:
                if failed.cause is not Cause.REFRESH_TOKEN_REFUSED or not initial.password:
                    raise
                logger.warning("%s The password is used instead.", failed)
        if initial.password:
            return initial.password.token(self._server)
        if stored:
            message = (
                "The access token has expired, and it came without a refresh token: add "
                "offline_access to the setting scope, then run `tap-acumatica login`."
            )
        else:
            message = "Nobody has signed in yet: run `tap-acumatica login`."
        raise NotSignedIn(message)

    def _masked(self, token: Token | None) -> Token | None:
        if token:
            masking.add(token.secrets)
        return token

    def _is_good(self, token: Token) -> bool:
        return self._now() < token.renew_at


def run_detached(work: Callable[[], Value]) -> Value:
    """Run work in another thread and wait for it; if the wait is interrupted, the work goes on."""
    future: Future[Value] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result()
