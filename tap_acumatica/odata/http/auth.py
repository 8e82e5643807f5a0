"""Signing in: what is added to a request so that the server knows who asks."""

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
    """What is added to one request: the Authorization header."""

    def __init__(self, header: str) -> None:
        self.header = header

    @property
    def credential(self) -> Credential:
        """What it proves with who asks."""
        return Credential.PASSWORD

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = self.header
        return request


class NoAuth(AuthBase):
    """Adds nothing: without it requests would add what a .netrc holds for the host."""

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


class Auth(ABC):
    """An account of the server. What is refused with it once is not sent again."""

    @abstractmethod
    def authorize(self) -> Authorization:
        """What to add to the next request.

        Raises:
            RequestFailed: There is no token to be had.
        """

    @abstractmethod
    def reauthorize(self, refused: Authorization) -> Authorization:
        """What to add after the server refused a token that may have ended.

        Raises:
            RequestFailed: There is no token to be had.
        """

    @abstractmethod
    def close(self) -> None:
        """Ask for no further token: the run is over."""

    @abstractmethod
    def wait_for_token(self, until: float) -> None:
        """Wait for a token that was asked for, up to an instant of the monotonic clock."""


class BasicAuth(Auth):
    """User name and password with each request, in UTF-8 (requests would send Latin-1)."""

    def __init__(self, username: str, password: str) -> None:
        credentials = b64encode(f"{username}:{password}".encode()).decode()
        self._signature = Authorization(f"Basic {credentials}")
        self.secrets = (password, credentials)

    @override
    def authorize(self) -> Authorization:
        return self._signature

    @override
    def reauthorize(self, refused: Authorization) -> Authorization:
        return refused

    @override
    def close(self) -> None:
        """There are no tokens."""

    @override
    def wait_for_token(self, until: float) -> None:
        """There are no tokens."""
