"""OAuth: an access token with each request, renewed before it ends, once for all threads.

A refresh token is spent when it is sent, hence a token is asked for in a thread of its own: what
stops a run, such as a signal, does not cut it off, and the end of the run waits for it.
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
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.odata.oauth.tokens import MemoryTokenStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.oauth.identity_server import IdentityServer
    from tap_acumatica.odata.oauth.tokens import Token, TokenStore

Value = TypeVar("Value")


class Password:
    """User name and password, for all tenants: once refused they are not sent again."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._lock = threading.Lock()
        self._refused: RequestFailed | None = None

    def token(self, server: IdentityServer) -> Token:
        """A token for them. They are sent to one tenant after the other, since accounts lock.

        Raises:
            RequestFailed: There is none.
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
    """What the settings give to begin with."""

    refresh_token: str | None = None
    password: Password | None = None


class NotSignedIn(AcumaticaError):  # noqa: N818 - as the sentences say it
    """There is nothing to begin with: a person has to sign in."""

    cause = Cause.NOT_SIGNED_IN


class Bearer(Authorization):
    """An access token with a request."""

    def __init__(self, token: Token, is_good: Callable[[Token], bool], *, new: bool) -> None:
        super().__init__(f"Bearer {token.access_token}")
        self._token = token
        self._is_good = is_good
        self._new = new

    @property
    @override
    def credential(self) -> Credential:
        """A new token can grow old in the server's queue, if its life is short."""
        new = self._new and self._is_good(self._token)
        return Credential.NEW_TOKEN if new else Credential.TOKEN


class OAuth(Auth):
    """An account that signs in by access tokens of one tenant."""

    def __init__(
        self,
        server: IdentityServer,
        beginning: InitialGrant,
        store: TokenStore | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._beginning = beginning
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
        return run_detached(self._signed)

    @override
    def reauthorize(self, refused: Authorization) -> Authorization:
        return run_detached(partial(self._renewed, refused))

    @override
    def close(self) -> None:
        self._server.close()

    @override
    def wait_for_token(self, until: float) -> None:
        if self._lock.locked():
            logger.info("Waiting for an access token that was asked for")
        if self._lock.acquire(timeout=max(until - time.monotonic(), 0)):
            self._lock.release()

    def _signed(self) -> Authorization:
        with self._lock:
            token = self._token or self._known(self._store.read())
            if token is None or not self._is_good(token):
                return self._renew(None)
            self._token = token
            return self._bearer(token)

    def _renewed(self, refused: Authorization) -> Authorization:
        with self._lock:
            if self._token and self._bearer(self._token).header != refused.header:
                return self._bearer(self._token)  # another thread was here
            return self._renew(refused)

    def _renew(self, refused: Authorization | None) -> Authorization:
        """The next token: another run's, where one has renewed meanwhile, else a new one."""
        if self._refused:
            raise self._refused
        with self._store.updating() as update:
            kept = self._known(update.token)
            if kept and self._is_good(kept):
                bearer = self._bearer(kept)
                if refused is None or bearer.header != refused.header:
                    self._token = kept
                    return bearer
            try:
                token = self._ask(kept)
            except AcumaticaError as error:
                if not isinstance(error, RequestFailed) or error.action is Action.STOP:
                    self._refused = error
                raise
            masking.add(token.secrets)
            update.store(token)
        self._token = token
        # One that was given for no refusal is asked for once more before the sign-in has failed.
        return self._bearer(token, new=refused is not None)

    def _bearer(self, token: Token, *, new: bool = False) -> Bearer:
        return Bearer(token, self._is_good, new=new)

    def _ask(self, kept: Token | None) -> Token:
        begin = self._beginning
        refresh_token = kept.refresh_token if kept else begin.refresh_token
        if refresh_token:
            try:
                return self._server.refresh(refresh_token)
            except RequestFailed as failed:
                if failed.cause is not Cause.REFRESH_TOKEN_REFUSED or not begin.password:
                    raise
                logger.warning("%s The password is used in its place.", failed)
        if begin.password:
            return begin.password.token(self._server)
        if kept:
            message = (
                "The access token has ended, and no refresh token came with it: add offline_access "
                "to the setting scope, then run `tap-acumatica login`."
            )
        else:
            message = "Nobody has signed in yet: run `tap-acumatica login`."
        raise NotSignedIn(message)

    def _known(self, token: Token | None) -> Token | None:
        if token:
            masking.add(token.secrets)
        return token

    def _is_good(self, token: Token) -> bool:
        return self._now() < token.renew_at


def run_detached(work: Callable[[], Value]) -> Value:
    """Wait for work in another thread, which goes on when the wait is cut short."""
    future: Future[Value] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result()
