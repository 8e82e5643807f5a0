"""The identity server: OAuth applications, grants and their tokens."""

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
CLIENT_SECRET = "sandbox-+secret/of=the&application"  # noqa: S105 - the server holds no secrets
CALLBACK_URL = "http://localhost:8400/callback"
SCOPES = frozenset(
    {"api", "api:concurrent_access", "offline_access", "openid", "profile", "email", "phone"}
)
GRANT_DAYS = 30  # the default of the refresh token mode Absolute
CODE_SECONDS = 300

RefreshMode = Literal["absolute", "none"]
Consent = Literal["ask", "deny"]


class OAuthError(Exception):
    """An OAuth error response.

    Attributes:
        code: The error code.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Grant:
    """A grant of access to an application, by a person or by a password.

    Attributes:
        ends: Instant at which the refresh token expires.
        refresh_token: The valid refresh token; ``spent`` holds those before it.
        access_tokens: Instant of expiry by access token.
        revoked: Whether the grant has been revoked.
        session: Id of the session that the grant's requests share.
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
        """Whether all requests of the grant share one session, whatever their cookies."""
        return "api:concurrent_access" not in self.scopes

    def end_access(self, now: datetime) -> None:
        """Expire all access tokens; the grant still knows them as its own."""
        self.access_tokens = dict.fromkeys(self.access_tokens, now)


@dataclass
class AuthorizationRequest:
    """An authorization request, which a browser carries."""

    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    state: str
    challenge: str
    tenant: str


@dataclass
class AuthorizationCode:
    """The answer to an authorization request, valid for one exchange."""

    request: AuthorizationRequest
    ends: datetime


class IdentityServer:
    """Issues and validates tokens.

    Attributes:
        token_life: Lifetime of an access token in seconds.
        rotate: Whether each refresh issues a new refresh token.
        refresh_tokens: The refresh token mode on SM303010: ``absolute`` or ``none``.
        consent: ``ask``, or ``deny`` whatever the person decides.
        callback_urls: Redirect URIs of the application.
        discovery: Whether there is a discovery document.
        grants: All grants, also the revoked ones.
    """

    def __init__(
        self, tenants: Sequence[str], clock: Clock, check_password: Callable[[str, str], bool]
    ) -> None:
        self.token_life: float = 3600
        self.rotate = True
        self.refresh_tokens: RefreshMode = "absolute"
        self.consent: Consent = "ask"
        self.discovery = True
        self.callback_urls = {CALLBACK_URL}
        self.grants: list[Grant] = []
        self.clients = {f"{GUID}@{tenant}".lower(): tenant for tenant in tenants}
        self.check_password = check_password
        self._clock = clock
        self._codes: dict[str, AuthorizationCode] = {}
        self._serial = itertools.count(1)
        self._lock = threading.RLock()

    def client_id(self, tenant: str) -> str:
        """Return the client id of the application in a tenant."""
        return f"{GUID}@{tenant}"

    # Sign-in in a browser

    def parse_authorization(self, query: Mapping[str, str]) -> AuthorizationRequest:
        """Parse and validate an authorization request.

        Raises:
            LookupError: The application or the redirect URI is unknown, so that no answer may be
                sent there.
            OAuthError: The application may not make this request.
        """
        client_id, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
        tenant = self.clients.get(client_id.lower())
        if tenant is None or redirect_uri not in self.callback_urls:
            raise LookupError(client_id)
        if query.get("response_type") != "code":
            code = "unsupported_response_type"
            raise OAuthError(code)
        if not query.get("code_challenge") or query.get("code_challenge_method") != "S256":
            code = "invalid_request"
            raise OAuthError(code)
        scopes = self._scopes(query.get("scope", ""))
        state = query.get("state", "")
        challenge = query["code_challenge"]
        return AuthorizationRequest(client_id, redirect_uri, scopes, state, challenge, tenant)

    def issue_code(self, request: AuthorizationRequest) -> str:
        """Issue the code for an approved authorization request."""
        code = self._new("code")
        ends = self._clock.now() + timedelta(seconds=CODE_SECONDS)
        with self._lock:
            self._codes[code] = AuthorizationCode(request, ends)
        return code

    # Tokens

    def token(self, form: Mapping[str, str]) -> dict[str, object]:
        """Answer a token request.

        Raises:
            OAuthError: The request is not valid.
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
        raise OAuthError(code)

    def grant(self, tenant: str, scope: str = "api openid offline_access") -> Grant:
        """Grant access as a person does, without a browser."""
        with self._lock:
            grant = Grant(tenant, self._scopes(scope), self._clock.now())
            grant.ends += timedelta(days=GRANT_DAYS)
            if "offline_access" in grant.scopes:
                grant.refresh_token = self._new("refresh")
            self.grants.append(grant)
            return grant

    def revoke(self, *, access: bool = True) -> None:
        """Revoke all grants; with ``access``, expire their access tokens too."""
        with self._lock:
            for grant in self.grants:
                self._revoke(grant, access=access)

    def end_access(self) -> None:
        """Expire all access tokens; refresh tokens stay valid."""
        with self._lock:
            for grant in self.grants:
                grant.end_access(self._clock.now())

    def revoke_token(self, form: Mapping[str, str]) -> None:
        """Revoke the grant of a token; an unknown token has no effect.

        Raises:
            OAuthError: The application is unknown.
        """
        self._application(form)
        token = form.get("token", "")
        with self._lock:
            for grant in self.grants:
                if token and token in {grant.refresh_token, *grant.access_tokens}:
                    self._revoke(grant, access=True)

    def bearer(self, header: str | None) -> tuple[Grant | None, bool]:
        """Return the grant of the token in a Bearer header, and whether the token is valid."""
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
        secret = form.get("client_secret", "")
        if tenant is None or not secrets.compare_digest(secret.encode(), CLIENT_SECRET.encode()):
            code = "invalid_client"
            raise OAuthError(code)
        return tenant

    def _scopes(self, scope: str) -> frozenset[str]:
        scopes = frozenset(scope.split())
        excluded = {"offline_access"} if self.refresh_tokens == "none" else frozenset[str]()
        if not scopes or not scopes <= SCOPES - excluded:
            code = "invalid_scope"
            raise OAuthError(code)
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
            raise OAuthError(error)
        return self._issue_tokens(self.grant(code.request.tenant, " ".join(code.request.scopes)))

    def _by_password(self, form: Mapping[str, str], tenant: str) -> dict[str, object]:
        if not self.check_password(form.get("username", ""), form.get("password", "")):
            error = "invalid_grant"
            raise OAuthError(error)
        return self._issue_tokens(self.grant(tenant, form.get("scope", "")))

    def _refresh(self, form: Mapping[str, str], tenant: str) -> dict[str, object]:
        token = form.get("refresh_token", "")
        for grant in self.grants:
            if token in grant.spent:
                # A second use means that the token was stolen, so the whole grant is revoked.
                self._revoke(grant, access=True)
            elif (
                token == grant.refresh_token
                and tenant == grant.tenant
                and not grant.revoked
                and self._clock.now() < grant.ends
            ):
                if self.rotate:
                    grant.spent.add(token)
                    grant.refresh_token = self._new("refresh")
                return self._issue_tokens(grant)
        error = "invalid_grant"
        raise OAuthError(error)

    def _issue_tokens(self, grant: Grant) -> dict[str, object]:
        token = self._new("access")
        grant.access_tokens[token] = self._clock.now() + timedelta(seconds=self.token_life)
        response: dict[str, object] = {
            "access_token": token,
            "expires_in": self.token_life,
            "token_type": "Bearer",
            "scope": " ".join(sorted(grant.scopes)),
        }
        if "openid" in grant.scopes:
            response["id_token"] = self._new("id")
        if grant.refresh_token:
            response["refresh_token"] = grant.refresh_token
        return response

    def _revoke(self, grant: Grant, *, access: bool) -> None:
        grant.revoked = True
        if access:
            grant.end_access(self._clock.now())

    def _new(self, kind: str) -> str:
        return f"sbx-{kind}-{next(self._serial)}-{secrets.token_hex(16)}"
