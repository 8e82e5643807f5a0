"""The identity server: applications, grants and their tokens, by the facts of OAuth."""

from __future__ import annotations

import base64
import hashlib
import itertools
import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.clock import Clock

GUID = "5D9B3A0E-4C1F-4E7B-9A52-0D6C8E1F7B34"
CLIENT_SECRET = "sandbox-+secret/of=the&application"  # noqa: S105 - of a server without secrets
CALLBACK_URL = "http://localhost:8400/callback"
SCOPES = frozenset(
    {"api", "api:concurrent_access", "offline_access", "openid", "profile", "email", "phone"}
)
REFRESH_DAYS = 30  # of the mode Absolute, as it stands by default
CODE_SECONDS = 300

RefreshMode = Literal["absolute", "none"]
Consent = Literal["ask", "deny"]


class TokenRefusal(Exception):  # noqa: N818 - an answer of the server, not an error of the sandbox
    """An OAuth error, by its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Grant:
    """What a person or a password has let an application do.

    Attributes:
        refresh_token: The one that counts; those before it are in ``spent``.
        access_tokens: Each with the instant of its end.
        revoked: Whether nothing of it counts any more.
        session: The session that its requests share.
    """

    tenant: str
    scopes: frozenset[str]
    ends: datetime
    refresh_token: str | None = None
    spent: set[str] = field(default_factory=set)
    access_tokens: dict[str, datetime] = field(default_factory=dict)
    revoked: bool = False
    session: str | None = None

    @property
    def shares_session(self) -> bool:
        """Whether all its requests are one session, whatever their cookies."""
        return "api:concurrent_access" not in self.scopes

    def end_access(self, now: datetime) -> None:
        """Let the access tokens that were given end; it is remembered whose they were."""
        self.access_tokens = dict.fromkeys(self.access_tokens, now)


@dataclass
class Request:
    """A sign-in that a browser has begun."""

    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    state: str
    challenge: str
    tenant: str


@dataclass
class Code:
    """What the browser brings back, good for one exchange."""

    request: Request
    ends: datetime


class IdentityServer:
    """Gives tokens and knows them again.

    Attributes:
        token_life: Seconds that an access token lives.
        rotate: Whether each refresh brings another refresh token.
        refresh_tokens: The mode on SM303010: ``absolute``, or ``none`` at all.
        consent: ``ask``, or ``deny`` whoever agrees.
        callback_urls: The redirect URIs of the application.
        discovery: Whether there is a discovery document.
        grants: All that were ever given.
    """

    def __init__(
        self, tenants: Sequence[str], clock: Clock, check: Callable[[str, str], bool]
    ) -> None:
        self.token_life: float = 3600
        self.rotate = True
        self.refresh_tokens: RefreshMode = "absolute"
        self.consent: Consent = "ask"
        self.discovery = True
        self.callback_urls = {CALLBACK_URL}
        self.grants: list[Grant] = []
        self.clients = {f"{GUID}@{each}".lower(): each for each in tenants}
        self._check = check
        self._clock = clock
        self._codes: dict[str, Code] = {}
        self._serial = itertools.count(1)
        self._lock = threading.RLock()

    def client_id(self, tenant: str) -> str:
        """The id of the application in a tenant."""
        return f"{GUID}@{tenant}"

    # Sign-in in a browser

    def begin(self, query: Mapping[str, str]) -> Request:
        """Check what a browser asks for.

        Raises:
            LookupError: Application or callback are unknown: nothing may be sent there.
            TokenRefusal: The application may not ask for this.
        """
        client_id, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
        tenant = self.clients.get(client_id.lower())
        if tenant is None or redirect_uri not in self.callback_urls:
            raise LookupError(client_id)
        if query.get("response_type") != "code":
            code = "unsupported_response_type"
            raise TokenRefusal(code)
        if not query.get("code_challenge") or query.get("code_challenge_method") != "S256":
            code = "invalid_request"
            raise TokenRefusal(code)
        scopes = self._scopes(query.get("scope", ""))
        state = query.get("state", "")
        return Request(client_id, redirect_uri, scopes, state, query["code_challenge"], tenant)

    def knows(self, username: str, password: str) -> bool:
        """Whether the password is right."""
        return self._check(username, password)

    def code(self, request: Request) -> str:
        """The code for a sign-in that was agreed to."""
        code = self._new("code")
        ends = self._clock.now() + timedelta(seconds=CODE_SECONDS)
        with self._lock:
            self._codes[code] = Code(request, ends)
        return code

    # Tokens

    def token(self, form: Mapping[str, str]) -> dict[str, object]:
        """Answer a request for a token.

        Raises:
            TokenRefusal: There is none.
        """
        tenant = self._application(form)
        kind = form.get("grant_type", "")
        with self._lock:
            if kind == "authorization_code":
                return self._exchange(form)
            if kind == "password":
                return self._by_password(form, tenant)
            if kind == "refresh_token":
                return self._refresh(form, tenant)
        code = "unauthorized_client" if kind == "client_credentials" else "unsupported_grant_type"
        raise TokenRefusal(code)

    def grant(self, tenant: str, scope: str = "api openid offline_access") -> Grant:
        """A grant as a person makes it, without a browser."""
        with self._lock:
            grant = Grant(tenant, self._scopes(scope), self._clock.now())
            grant.ends += timedelta(days=REFRESH_DAYS)
            if "offline_access" in grant.scopes:
                grant.refresh_token = self._new("refresh")
            self.grants.append(grant)
            return grant

    def revoke(self, *, access: bool = True) -> None:
        """End all grants; ``access``: also the access tokens that were given."""
        with self._lock:
            for grant in self.grants:
                self._end(grant, access=access)

    def end_access(self) -> None:
        """Let all access tokens that were given end; refresh tokens lead to others."""
        with self._lock:
            for grant in self.grants:
                grant.end_access(self._clock.now())

    def revoke_token(self, form: Mapping[str, str]) -> None:
        """End the grant of a token; one that is unknown does no harm.

        Raises:
            TokenRefusal: The application is unknown.
        """
        self._application(form)
        token = form.get("token", "")
        with self._lock:
            for grant in self.grants:
                if token and token in {grant.refresh_token, *grant.access_tokens}:
                    self._end(grant, access=True)

    def bearer(self, header: str | None) -> tuple[Grant | None, bool]:
        """The grant of the token in an Authorization header, and whether the token is good."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer":
            return None, False
        with self._lock:
            for grant in self.grants:
                ends = grant.access_tokens.get(token)
                if ends is not None:
                    return grant, self._clock.now() < ends
        return None, False

    def _application(self, form: Mapping[str, str]) -> str:
        tenant = self.clients.get(form.get("client_id", "").lower())
        given = form.get("client_secret", "")
        if tenant is None or not secrets.compare_digest(given.encode(), CLIENT_SECRET.encode()):
            code = "invalid_client"
            raise TokenRefusal(code)
        return tenant

    def _scopes(self, scope: str) -> frozenset[str]:
        scopes = frozenset(scope.split())
        barred = {"offline_access"} if self.refresh_tokens == "none" else frozenset[str]()
        if not scopes or not scopes <= SCOPES - barred:
            code = "invalid_scope"
            raise TokenRefusal(code)
        return scopes

    def _exchange(self, form: Mapping[str, str]) -> dict[str, object]:
        code = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            code is None
            or code.ends < self._clock.now()
            or code.request.client_id != form["client_id"]
            or code.request.redirect_uri != form.get("redirect_uri")
            or code.request.challenge != challenge
        ):
            error = "invalid_grant"
            raise TokenRefusal(error)
        return self._give(self.grant(code.request.tenant, " ".join(code.request.scopes)))

    def _by_password(self, form: Mapping[str, str], tenant: str) -> dict[str, object]:
        if not self._check(form.get("username", ""), form.get("password", "")):
            error = "invalid_grant"
            raise TokenRefusal(error)
        return self._give(self.grant(tenant, form.get("scope", "")))

    def _refresh(self, form: Mapping[str, str], tenant: str) -> dict[str, object]:
        token = form.get("refresh_token", "")
        for grant in self.grants:
            if token in grant.spent:
                # Somebody has it who should not: nobody may go on.
                self._end(grant, access=True)
            elif (
                token == grant.refresh_token
                and tenant == grant.tenant
                and not grant.revoked
                and self._clock.now() < grant.ends
            ):
                if self.rotate:
                    grant.spent.add(token)
                    grant.refresh_token = self._new("refresh")
                return self._give(grant)
        error = "invalid_grant"
        raise TokenRefusal(error)

    def _give(self, grant: Grant) -> dict[str, object]:
        token = self._new("access")
        grant.access_tokens[token] = self._clock.now() + timedelta(seconds=self.token_life)
        answer: dict[str, object] = {
            "access_token": token,
            "expires_in": self.token_life,
            "token_type": "Bearer",
            "scope": " ".join(sorted(grant.scopes)),
        }
        if "openid" in grant.scopes:
            answer["id_token"] = self._new("id")
        if grant.refresh_token:
            answer["refresh_token"] = grant.refresh_token
        return answer

    def _end(self, grant: Grant, *, access: bool) -> None:
        grant.revoked = True
        if access:
            grant.end_access(self._clock.now())

    def _new(self, kind: str) -> str:
        return f"sbx-{kind}-{next(self._serial)}-{secrets.token_hex(16)}"
