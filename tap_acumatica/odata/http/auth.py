"""Authentication: the header by which the server knows the account behind a request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from typing import TYPE_CHECKING

from requests.auth import AuthBase
from typing_extensions import override

from tap_acumatica.odata.http.answer import Credential

if TYPE_CHECKING:
    from requests import PreparedRequest


class Authorization(AuthBase):
    """Adds the Authorization header to a request."""

    def __init__(self, header: str) -> None:
        self.header = header

    @property
    def credential(self) -> Credential:
        """The kind of credential in the header."""
        return Credential.PASSWORD

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        # In UTF-8, whatever letters a token has: the server is the one to refuse it.
        request.headers["Authorization"] = self.header.encode().decode("latin-1")
        return request


class NoAuth(AuthBase):
    """Adds nothing. Without it requests would add the credentials in a .netrc for the host."""

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


class Auth(ABC):
    """An account on the server. Credentials that the server refused are not sent again."""

    @abstractmethod
    def authorize(self) -> Authorization:
        """Return the authorization for the next request.

        Raises:
            RequestFailed: No access token could be obtained.
        """

    @abstractmethod
    def reauthorize(self, refused: Authorization) -> Authorization:
        """Return another authorization, after the server refused a token that may have expired.

        Raises:
            RequestFailed: No access token could be obtained.
        """

    @abstractmethod
    def close(self) -> None:
        """Request no more tokens: the run is over."""

    @abstractmethod
    def wait_for_token(self, until: float) -> None:
        """Wait for a token that was requested, up to an instant of the monotonic clock."""


class BasicAuth(Auth):
    """Sends user name and password with each request, in UTF-8 (requests would use Latin-1)."""

    def __init__(self, username: str, password: str) -> None:
        credentials = b64encode(f"{username}:{password}".encode()).decode()
        self._authorization = Authorization(f"Basic {credentials}")
        self.secrets = (password, credentials)

    @override
    def authorize(self) -> Authorization:
        return self._authorization

    @override
    def reauthorize(self, refused: Authorization) -> Authorization:
        return refused

    @override
    def close(self) -> None:
        """There are no tokens."""

    @override
    def wait_for_token(self, until: float) -> None:
        """There are no tokens."""
