"""A site's identity server: where it is, and requests for its tokens.

Authlib implements the protocol; requests are sent with the tap's own settings, and their responses
are classified by an error table. Facts: docs/acumatica.md, "OAuth".
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from authlib.common.security import generate_token
from authlib.oauth2.client import OAuth2Client
from typing_extensions import override

from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.http.answer import Credential, RawResponse, json_in
from tap_acumatica.odata.http.auth import NoAuth
from tap_acumatica.odata.http.client import CONNECT_TIMEOUT
from tap_acumatica.odata.http.error_table import classify
from tap_acumatica.odata.http.retry import with_retries
from tap_acumatica.odata.http.transport import chunks, new_session
from tap_acumatica.odata.log import REQUESTS, logger
from tap_acumatica.odata.masking import masking
from tap_acumatica.odata.oauth.error_table import TOKEN_RULES
from tap_acumatica.odata.oauth.tokens import Token, token_fields
from tap_acumatica.odata.urls import joined, may_carry_secrets, origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_acumatica.odata.http.client import ClientSettings

VERIFIER_LENGTH: Final = 64
STATE_LENGTH: Final = 40
SUBJECT: Final = "an access token"
TOKEN_FIELDS: Final = ("access_token", "refresh_token", "id_token")


@dataclass(frozen=True, slots=True)
class Application:
    """A connected application (SM303010) of one tenant.

    Attributes:
        client_id: The application's ID with its tenant, `<GUID>@<Tenant>`.
        scope: The scopes to request, separated by blanks.
    """

    client_id: str
    client_secret: str
    scope: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """The endpoints for sign-in and tokens; discovery finds those that are None."""

    authorization: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that was started in a browser.

    Attributes:
        url: The page to open.
        state: A random text that comes back with the answer, as proof that it belongs to this
            sign-in.
        verifier: The PKCE verifier, as proof that the token is requested by who started the
            sign-in.
        callback_url: The URL to which the answer is sent.
    """

    url: str
    state: str
    verifier: str
    callback_url: str


class IdentityServer:
    """A site's identity server, for one connected application."""

    def __init__(
        self,
        site: str,
        application: Application,
        settings: ClientSettings,
        addresses: Addresses = Addresses(),
    ) -> None:
        self.application = application
        self.site = site
        self._settings = settings
        self._addresses = addresses
        self._discovered: Addresses | None = None
        self._discovery_lock = threading.Lock()
        self._succeeded = False
        self._closed = False
        masking.add([application.client_secret])

    def begin(self, callback_url: str) -> SignIn:
        """Start a sign-in in a browser, with PKCE.

        Raises:
            RequestFailed: The server does not answer.
            SettingsError: The page's address is not safe for secrets.
        """
        state, verifier = generate_token(STATE_LENGTH), generate_token(VERIFIER_LENGTH)
        masking.add([verifier])
        client = self._client(
            None,
            scope=self.application.scope,
            redirect_uri=callback_url,
            code_challenge_method="S256",
        )
        address = self._address("authorization")
        url, _ = client.create_authorization_url(address, state, verifier)
        return SignIn(url, state, verifier, callback_url)

    def exchange(self, sign_in: SignIn, code: str) -> Token:
        """Request the token for a code from the sign-in page.

        Raises:
            RequestFailed: The server issued no token.
        """
        masking.add([code])
        return self._request_token(
            Credential.CODE,
            grant_type="authorization_code",
            code=code,
            code_verifier=sign_in.verifier,
            redirect_uri=sign_in.callback_url,
        )

    def password(self, username: str, password: str) -> Token:
        """Request a token for user name and password.

        A refusal is final, since repeated failures lock accounts.

        Raises:
            RequestFailed: The server issued no token.
        """
        return self._request_token(
            Credential.PASSWORD,
            grant_type="password",
            username=username,
            password=password,
            scope=self.application.scope,
        )

    def refresh(self, refresh_token: str) -> Token:
        """Request the next token; this spends the refresh token.

        Raises:
            RequestFailed: The server issued no token.
        """
        masking.add([refresh_token])
        # Without a scope in the request, the scope of the sign-in stays.
        token = self._request_token(
            Credential.REFRESH_TOKEN, grant_type="refresh_token", refresh_token=refresh_token
        )
        return (
            token
            if token.refresh_token
            else msgspec.structs.replace(token, refresh_token=refresh_token)
        )

    def close(self) -> None:
        """Request no more tokens, not even to retry a failed request."""
        self._closed = True

    def _request_token(self, credential: Credential, **form: str) -> Token:
        address = self._address("token")

        def attempt() -> Token:
            if self._closed:
                message = "The run ended before an access token was issued."
                raise AcumaticaError(message)
            client = self._client(credential)
            requested_at = time.time()
            response = client.fetch_token(
                address,
                auth=NoAuth(),
                client_id=self.application.client_id,
                client_secret=self.application.client_secret,
                **form,
            )
            return Token.of(response, requested_at)

        return with_retries(attempt, self._settings.max_retry_time)

    def _client(self, credential: Credential | None, **options: Any) -> _Client:  # noqa: ANN401 - Authlib's
        return _Client(
            _TokenSession(self, credential) if credential else None,
            client_id=self.application.client_id,
            **options,
        )

    def _address(self, which: str) -> str:
        address: str = getattr(self._addresses, which) or getattr(self._discovery(), which)
        if not may_carry_secrets(address):
            message = (
                f"The identity server at {address} uses plain http, over which the tap sends no "
                "secrets: use https in the settings url, authorization_url and access_token_url."
            )
            raise SettingsError(message)
        return address

    def _discovery(self) -> Addresses:
        """Return the addresses that the site announces, or the default ones."""
        with self._discovery_lock:
            if self._discovered is None:
                self._discovered = with_retries(self._discover, self._settings.max_retry_time)
            return self._discovered

    def _discover(self) -> Addresses:
        base = f"{self.site}/identity"
        url = f"{base}/.well-known/openid-configuration"
        response = self.send("GET", url)
        content = json_in(response.body) if response.status == HTTPStatus.OK else None
        if not isinstance(content, dict) or not content:
            logger.info("No discovery document at %s (%d)", url, response.status)
            content = {}
        announced = {
            name: joined(url, str(content.get(name) or default))
            for name, default in (
                ("issuer", base),
                ("authorization_endpoint", f"{base}/connect/authorize"),
                ("token_endpoint", f"{base}/connect/token"),
            )
        }
        for address in announced.values():
            if origin(address) != origin(self.site):
                message = (
                    f"The site announces an identity server elsewhere ({address}), which would get "
                    "the secrets: if that is right, set authorization_url and access_token_url."
                )
                raise SettingsError(message)
        return Addresses(announced["authorization_endpoint"], announced["token_endpoint"])

    def send(self, method: str, url: str, **options: Any) -> RawResponse:  # noqa: ANN401 - those of requests
        """Send one request, and return its response with any status.

        Raises:
            RequestFailed: There was no response.
        """
        # Headers of the settings can be secret, and are for the site alone.
        of_site = self._settings.headers if origin(url) == origin(self.site) else {}
        headers = {"User-Agent": "tap-acumatica", **of_site}
        headers.update(options.pop("headers", None) or {"Accept": "application/json"})
        started = time.monotonic()
        try:
            with new_session() as session:
                response = session.request(
                    method,
                    url,
                    headers=headers,
                    timeout=(CONNECT_TIMEOUT, self._settings.timeout),
                    allow_redirects=False,
                    # Set here, since requests lets the environment override the session's value.
                    verify=self._settings.verify,
                    stream=True,
                    **{"auth": NoAuth(), **options},
                )
                body = b"".join(chunks(response, self._settings.max_response_size))
        except OSError as error:
            outcome = RawResponse(SUBJECT, exception=error, first=not self._succeeded)
            raise classify(outcome, TOKEN_RULES) or error from error
        self._succeeded = True
        seconds = time.monotonic() - started
        if self._settings.verbosity >= REQUESTS:
            logger.info("%s %s: %d in %.2f s", method, url, response.status_code, seconds)
        return RawResponse(SUBJECT, response.status_code, response.headers, body)


class _Client(OAuth2Client):
    """Authlib's client, without its own checks: the error table has classified the response.

    Authlib fails over trifles, when the refresh token is already spent.
    """

    @override
    def parse_response_token(self, resp: RawResponse) -> Mapping[str, Any]:
        return token_fields(resp.body)


class _TokenSession:
    """The session with which Authlib posts; all of its successful responses contain a token."""

    def __init__(self, server: IdentityServer, credential: Credential) -> None:
        self._server = server
        self._credential = credential

    def post(self, url: str, **options: Any) -> RawResponse:  # noqa: ANN401 - those of requests
        """Request a token.

        Raises:
            RequestFailed: The server issued no token.
        """
        response = self._server.send("POST", url, **options)
        outcome = replace(response, credential=self._credential)
        if failed := classify(outcome, TOKEN_RULES):
            logger.warning("POST %s: %s (%d)", url, failed.cause, outcome.status)
            raise failed
        fields = token_fields(response.body)
        masking.add(str(fields.get(name) or "") for name in TOKEN_FIELDS)
        return outcome
