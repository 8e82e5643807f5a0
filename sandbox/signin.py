"""The addresses of the identity server."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus, urlencode

from sandbox import pages
from sandbox.http import Request, Response
from sandbox.identity import IdentityServer, TokenRefusal

if TYPE_CHECKING:
    from sandbox.identity import Request as SignIn

IDENTITY = re.compile(r"/identity/(.*)", re.IGNORECASE)
DISCOVERY = ".well-known/openid-configuration"
NOT_KNOWN = "The application or its callback address is unknown to this site."


class SignInService:
    """Answers what lies under ``/identity``."""

    def __init__(self, server: IdentityServer) -> None:
        self.server = server
        self._tickets: dict[str, SignIn] = {}

    def answer(self, site: str, path: str, request: Request) -> Response:
        """Answer one request; ``path`` is below ``/identity/``."""
        path = path.lower()
        if path == DISCOVERY and request.method == "GET" and self.server.discovery:
            return self._discovery(site)
        if path == "connect/authorize" and request.method in {"GET", "POST"}:
            return self._authorize(request)
        if path in {"connect/token", "connect/revocation"} and request.method == "POST":
            try:
                return self._token(path, form(request))
            except TokenRefusal as refusal:
                body = json.dumps({"error": refusal.code}).encode()
                return Response(HTTPStatus.BAD_REQUEST, body)
        return pages.refused("There is no such page.", HTTPStatus.NOT_FOUND)

    def _token(self, path: str, given: dict[str, str]) -> Response:
        if path == "connect/revocation":
            self.server.revoke_token(given)
            return Response(HTTPStatus.OK)
        headers = [("Cache-Control", "no-store")]
        return Response(body=json.dumps(self.server.token(given)).encode(), headers=headers)

    def _discovery(self, site: str) -> Response:
        base = f"{site}/identity"
        document = {
            "issuer": base,
            "authorization_endpoint": f"{base}/connect/authorize",
            "token_endpoint": f"{base}/connect/token",
            "revocation_endpoint": f"{base}/connect/revocation",
            "grant_types_supported": ["authorization_code", "password", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
        }
        return Response(body=json.dumps(document).encode())

    def _authorize(self, request: Request) -> Response:
        try:
            asked = self.server.begin(request.query)
        except LookupError:
            return pages.refused(NOT_KNOWN, HTTPStatus.BAD_REQUEST)
        except TokenRefusal as refusal:
            return _back(request.query, {"error": refusal.code})
        if request.method == "GET":
            return pages.sign_in(asked.tenant)
        given = form(request)
        if given.get("step") == "sign-in":
            return self._ask(asked, given)
        # Who agrees has signed in before, to the very same request.
        if self._tickets.pop(given.get("ticket", ""), None) != asked:
            return pages.sign_in(asked.tenant)
        return _back(request.query, self._decided(asked, given))

    def _ask(self, asked: SignIn, given: dict[str, str]) -> Response:
        if not self.server.knows(given.get("username", ""), given.get("password", "")):
            return pages.sign_in(asked.tenant, wrong=True)
        ticket = secrets.token_hex(16)
        self._tickets[ticket] = asked
        return pages.consent(ticket, asked.tenant, asked.scopes)

    def _decided(self, asked: SignIn, given: dict[str, str]) -> dict[str, str]:
        if given.get("step") == "allow" and self.server.consent != "deny":
            return {"code": self.server.code(asked)}
        words = "The user has denied the application access."
        return {"error": "access_denied", "error_description": words}


def form(request: Request) -> dict[str, str]:
    """The fields of a form; an application may also name itself in the header."""
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic" and "client_secret" not in fields:
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return fields
        fields |= {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}
    return fields


def _back(query: dict[str, str], answer: dict[str, str]) -> Response:
    """Lead the browser back to the application."""
    if query.get("state"):
        answer["state"] = query["state"]
    url = query["redirect_uri"]
    url += ("&" if "?" in url else "?") + urlencode(answer)
    return Response(HTTPStatus.FOUND, headers=[("Location", url)])
