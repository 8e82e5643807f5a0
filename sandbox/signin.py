"""The identity server's endpoints and pages over HTTP."""

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
from sandbox.identity import IdentityServer, OAuthError

if TYPE_CHECKING:
    from sandbox.identity import AuthorizationRequest

IDENTITY = re.compile(r"/identity/(.*)", re.IGNORECASE)
DISCOVERY = ".well-known/openid-configuration"
UNKNOWN_CLIENT = "The application or its callback address is unknown to this site."


class SignInService:
    """Answers requests below ``/identity``."""

    def __init__(self, server: IdentityServer) -> None:
        self.server = server
        self._tickets: dict[str, AuthorizationRequest] = {}

    def answer(self, site: str, path: str, request: Request) -> Response:
        """Answer a request; ``path`` is relative to ``/identity/``."""
        path = path.lower()
        if path == DISCOVERY and request.method == "GET" and self.server.discovery:
            return self._discovery(site)
        if path == "connect/authorize" and request.method in {"GET", "POST"}:
            return self._authorize(request)
        if path in {"connect/token", "connect/revocation"} and request.method == "POST":
            try:
                return self._token(path, form(request))
            except OAuthError as error:
                body = json.dumps({"error": error.code}).encode()
                return Response(HTTPStatus.BAD_REQUEST, body)
        return pages.error("There is no such page.", HTTPStatus.NOT_FOUND)

    def _token(self, path: str, fields: dict[str, str]) -> Response:
        if path == "connect/revocation":
            self.server.revoke_token(fields)
            return Response(HTTPStatus.OK)
        headers = [("Cache-Control", "no-store")]
        return Response(body=json.dumps(self.server.token(fields)).encode(), headers=headers)

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
            authorization = self.server.parse_authorization(request.query)
        except LookupError:
            return pages.error(UNKNOWN_CLIENT, HTTPStatus.BAD_REQUEST)
        except OAuthError as error:
            return _redirect_back(request.query, {"error": error.code})
        if request.method == "GET":
            return pages.sign_in(authorization.tenant)
        fields = form(request)
        if fields.get("step") == "sign-in":
            return self._sign_in(authorization, fields)
        # Only a person who has signed in, for this very request, may consent to it.
        if self._tickets.pop(fields.get("ticket", ""), None) != authorization:
            return pages.sign_in(authorization.tenant)
        return _redirect_back(request.query, self._decision(authorization, fields))

    def _sign_in(self, authorization: AuthorizationRequest, fields: dict[str, str]) -> Response:
        username, password = fields.get("username", ""), fields.get("password", "")
        if not self.server.check_password(username, password):
            return pages.sign_in(authorization.tenant, wrong=True)
        ticket = secrets.token_hex(16)
        self._tickets[ticket] = authorization
        return pages.consent(ticket, authorization.tenant, authorization.scopes)

    def _decision(
        self, authorization: AuthorizationRequest, fields: dict[str, str]
    ) -> dict[str, str]:
        if fields.get("step") == "allow" and self.server.consent != "deny":
            return {"code": self.server.issue_code(authorization)}
        description = "The user has denied the application access."
        return {"error": "access_denied", "error_description": description}


def form(request: Request) -> dict[str, str]:
    """Return the fields of a form; the application may send its credentials in a header instead."""
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic" and "client_secret" not in fields:
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return fields
        fields |= {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}
    return fields


def _redirect_back(query: dict[str, str], parameters: dict[str, str]) -> Response:
    """Redirect the browser back to the application."""
    if query.get("state"):
        parameters["state"] = query["state"]
    url = query["redirect_uri"]
    url += ("&" if "?" in url else "?") + urlencode(parameters)
    return Response(HTTPStatus.FOUND, headers=[("Location", url)])
