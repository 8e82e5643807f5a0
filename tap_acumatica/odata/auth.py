"""Signing in: what is added to a request so that the server knows who asks."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from requests.auth import AuthBase
from typing_extensions import override

if TYPE_CHECKING:
    from requests import PreparedRequest


class BasicAuth(AuthBase):
    """User name and password with each request, in UTF-8 (requests would send Latin-1)."""

    def __init__(self, username: str, password: str) -> None:
        credentials = b64encode(f"{username}:{password}".encode()).decode()
        self._header = f"Basic {credentials}"
        self.secrets = (password, credentials)

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = self._header
        return request
