"""OAuth: an access token with each request, renewed before it ends, once for all threads."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_acumatica.odata.answer import Credential
from tap_acumatica.odata.auth import Auth, Signature
from tap_acumatica.odata.errors import Action, AcumaticaError, RequestFailed
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.odata.tokens import Memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.identity import IdentityServer
    from tap_acumatica.odata.tokens import Token, TokenStore


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the settings give to begin with."""

    refresh_token: str | None = None
    username: str | None = None
    password: str | None = None


class NotSignedIn(AcumaticaError):  # noqa: N818 - as the sentences say it
    """There is nothing to begin with: a person has to sign in."""

    cause = "not signed in"


class Bearer(Signature):
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
        beginning: Beginning,
        store: TokenStore | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._server = server
        self._beginning = beginning
        self._store = store or Memory()
        self._now = now
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refused: AcumaticaError | None = None

    @override
    def sign(self) -> Signature:
        with self._lock:
            token = self._token or self._known(self._store.read())
            if token is None or not self._is_good(token):
                return self._renew(None)
            self._token = token
            return self._bearer(token)

    @override
    def renewed(self, refused: Signature) -> Signature:
        with self._lock:
            if self._token and self._bearer(self._token).header != refused.header:
                return self._bearer(self._token)  # another thread was here
            return self._renew(refused)

    def _renew(self, refused: Signature | None) -> Signature:
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
                if failed.cause != "refresh token refused" or not begin.password:
                    raise
                logger.warning("%s The password is used in its place.", failed)
        if begin.username and begin.password:
            return self._server.password(begin.username, begin.password)
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
