"""The identity server of a site: where it is, and the tokens that it gives.

The protocol is Authlib's; what crosses the wire goes through the settings and the error table that
all requests have. Facts: docs/acumatica.md, "OAuth".
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

import msgspec
import requests
from authlib.common.security import generate_token
from authlib.oauth2.client import OAuth2Client
from typing_extensions import override

from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.http.answer import Credential, RawResponse
from tap_acumatica.odata.http.auth import NoAuth
from tap_acumatica.odata.http.client import CONNECT_TIMEOUT
from tap_acumatica.odata.http.error_table import classify
from tap_acumatica.odata.http.retry import with_retries
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.odata.oauth.error_table import TOKEN_RULES
from tap_acumatica.odata.oauth.tokens import Token
from tap_acumatica.odata.urls import may_carry_secrets

if TYPE_CHECKING:
    from tap_acumatica.odata.http.client import ClientSettings

VERIFIER_LENGTH: Final = 64
STATE_LENGTH: Final = 40
SUBJECT: Final = "an access token"
SECRET_PARTS: Final = ("access_token", "refresh_token", "id_token")


@dataclass(frozen=True, slots=True)
class Application:
    """A connected application (SM303010) of one tenant.

    Attributes:
        client_id: With its tenant: `<GUID>@<Tenant>`.
        scope: What to ask for, separated by blanks.
    """

    client_id: str
    client_secret: str
    scope: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where people sign in, and where tokens are given; None where it is to be found out."""

    authorization: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that was begun in a browser.

    Attributes:
        url: The page to open.
        state: What comes back with the answer, to prove that it is to this request.
        verifier: What proves that who asks for the token is who began.
        callback_url: Where the answer goes.
    """

    url: str
    state: str
    verifier: str
    callback_url: str


class IdentityServer:
    """The identity server of a site, as one connected application sees it."""

    def __init__(
        self,
        site: str,
        application: Application,
        settings: ClientSettings,
        given: Addresses = Addresses(),
    ) -> None:
        self.application = application
        self.site = site
        self._settings = settings
        self._given = given
        self._found: Addresses | None = None
        self._finding = threading.Lock()
        self._succeeded = False
        self._closed = False
        masking.add([application.client_secret])

    def begin(self, callback_url: str) -> SignIn:
        """Begin a sign-in in a browser, with PKCE.

        Raises:
            RequestFailed: The server does not answer.
            SettingsError: The page is at an address where others could read along.
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
        """The token for the code that the sign-in page gave.

        Raises:
            RequestFailed: There is none.
        """
        masking.add([code])
        return self._ask(
            Credential.CODE,
            grant_type="authorization_code",
            code=code,
            code_verifier=sign_in.verifier,
            redirect_uri=sign_in.callback_url,
        )

    def password(self, username: str, password: str) -> Token:
        """A token for user name and password. They are sent once, since accounts lock.

        Raises:
            RequestFailed: There is none.
        """
        return self._ask(
            Credential.PASSWORD,
            grant_type="password",
            username=username,
            password=password,
            scope=self.application.scope,
        )

    def refresh(self, refresh_token: str) -> Token:
        """The token that follows; the refresh token is spent with this.

        Raises:
            RequestFailed: There is none.
        """
        masking.add([refresh_token])
        # Without a scope: that of the sign-in stays, whatever the settings say since.
        token = self._ask(
            Credential.REFRESH_TOKEN, grant_type="refresh_token", refresh_token=refresh_token
        )
        return (
            token
            if token.refresh_token
            else msgspec.structs.replace(token, refresh_token=refresh_token)
        )

    def close(self) -> None:
        """Ask for no further token, not even for one that is being waited for."""
        self._closed = True

    def _ask(self, credential: Credential, **form: str) -> Token:
        address = self._address("token")

        def attempt() -> Token:
            if self._closed:
                message = f"The run has ended before {SUBJECT} was read."
                raise AcumaticaError(message)
            client = self._client(credential)
            asked_at = time.time()
            answer = client.fetch_token(
                address,
                auth=NoAuth(),
                client_id=self.application.client_id,
                client_secret=self.application.client_secret,
                **form,
            )
            return Token.of(answer, asked_at)

        return with_retries(attempt, self._settings.max_retry_time)

    def _client(self, credential: Credential | None, **options: Any) -> _Client:  # noqa: ANN401 - Authlib's
        return _Client(
            _TokenSession(self, credential) if credential else None,
            client_id=self.application.client_id,
            **options,
        )

    def _address(self, which: str) -> str:
        address: str = getattr(self._given, which) or getattr(self._addresses(), which)
        if not may_carry_secrets(address):
            message = (
                f"The identity server at {address} is reached by plain http, over which no secret "
                "is sent: use https in the settings url, authorization_url and access_token_url."
            )
            raise SettingsError(message)
        return address

    def _addresses(self) -> Addresses:
        """What the site says of itself, else where the server is by default."""
        with self._finding:
            if self._found is None:
                self._found = with_retries(self._discover, self._settings.max_retry_time)
            return self._found

    def _discover(self) -> Addresses:
        base = f"{self.site}/identity"
        url = f"{base}/.well-known/openid-configuration"
        response = self.send("GET", url)
        try:
            content = msgspec.json.decode(response.content) if response.ok else {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            content = {}
        if not isinstance(content, dict) or not content:
            logger.info("No discovery document at %s (%d)", url, response.status_code)
            content = {}
        return Addresses(
            urljoin(url, str(content.get("authorization_endpoint") or f"{base}/connect/authorize")),
            urljoin(url, str(content.get("token_endpoint") or f"{base}/connect/token")),
        )

    def send(self, method: str, url: str, **options: Any) -> requests.Response:  # noqa: ANN401 - those of requests
        """Send one request; what is no answer at all is classified.

        Raises:
            RequestFailed: No answer came.
        """
        headers = {"User-Agent": "tap-acumatica", **self._settings.headers}
        headers.update(options.pop("headers", None) or {"Accept": "application/json"})
        started = time.monotonic()
        try:
            with requests.Session() as session:
                response = session.request(
                    method,
                    url,
                    headers=headers,
                    timeout=(CONNECT_TIMEOUT, self._settings.timeout),
                    allow_redirects=False,
                    # Given here, since requests lets the environment overrule the session's.
                    verify=self._settings.verify,
                    **{"auth": NoAuth(), **options},
                )
        except OSError as error:
            answer = RawResponse(SUBJECT, exception=error, first=not self._succeeded)
            raise classify(answer, TOKEN_RULES) or error from error
        self._succeeded = True
        seconds = time.monotonic() - started
        logger.info("%s %s: %d in %.2f s", method, url, response.status_code, seconds)
        return response


class _Client(OAuth2Client):
    """Authlib's client, but for the reading of answers, which the error table has looked at.

    Authlib fails at trifles, by which time the refresh token is spent.
    """

    @override
    def parse_response_token(self, resp: requests.Response) -> dict[str, Any]:
        answer: dict[str, Any] = resp.json()
        return answer


class _TokenSession:
    """The session that Authlib posts with; what it gets back is a token."""

    def __init__(self, server: IdentityServer, credential: Credential) -> None:
        self._server = server
        self._credential = credential

    def post(self, url: str, **options: Any) -> requests.Response:  # noqa: ANN401 - those of requests
        """Ask for a token.

        Raises:
            RequestFailed: None came.
        """
        response = self._server.send("POST", url, **options)
        answer = RawResponse(
            SUBJECT,
            response.status_code,
            response.headers,
            response.content,
            credential=self._credential,
        )
        if failed := classify(answer, TOKEN_RULES):
            logger.warning("POST %s: %s (%d)", url, failed.cause, answer.status)
            raise failed
        masking.add(str(response.json().get(part) or "") for part in SECRET_PARTS)
        return response
