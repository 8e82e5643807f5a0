"""Requests and answers, apart from the sockets they cross."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from socket import socket
from typing import Literal
from urllib.parse import parse_qsl, unquote

from sandbox.errors import EmptyAnswer, Refusal
from sandbox.sessions import RequestRecord

JSON = "application/json; charset=utf-8"
ODATA_JSON = "application/json; odata.metadata=minimal"
XML = "application/xml"
HTML = "text/html; charset=utf-8"
COMPRESS_ABOVE = 860  # the web server's own threshold, bytes
Shape = Literal["message", "exception", "error", "odata.error", "text", "html"]
RequestKind = Literal[
    "service", "metadata", "data", "count", "logout", "identity", "control", "other"
]


@dataclass
class Request:
    """One request, taken apart; the names of its headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    kind: RequestKind = "other"
    origin: str = ""
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)
    raw_query: str = field(init=False)

    def __post_init__(self) -> None:
        """Decode path and query."""
        path, _, self.raw_query = self.target.partition("?")
        self.path = unquote(path)
        pairs = parse_qsl(self.raw_query, keep_blank_values=True)
        self.query = {key.lower() if key.startswith("$") else key: value for key, value in pairs}

    def record(self) -> RequestRecord:
        """What is remembered of it; credentials are not."""
        headers = {key: value for key, value in self.headers.items() if key != "authorization"}
        return RequestRecord(
            self.method,
            self.path,
            dict(self.query),
            headers,
            kind=self.kind,
            raw_query=self.raw_query,
        )


Wire = Callable[[socket, bytes, bytes], bool]


@dataclass
class Response:
    """One answer.

    Attributes:
        wire: Sends head and body in place of the server, and returns whether the connection lives.
    """

    status: int = HTTPStatus.OK
    body: bytes = b""
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    odata: bool = False
    wire: Wire | None = None
    close: bool = False

    def encode(self, accepted: str) -> bytes:
        """The body as it is sent; adds the header that says so."""
        if "gzip" in accepted.lower() and len(self.body) > COMPRESS_ABOVE:
            self.headers.append(("Content-Encoding", "gzip"))
            self.headers.append(("Vary", "Accept-Encoding"))
            return gzip.compress(self.body, compresslevel=1, mtime=0)
        return self.body


def message(status: int, text: str) -> Response:
    """An answer in the shape of the server's errors."""
    return Response(status, json.dumps({"message": text}, ensure_ascii=False).encode())


def shaped(status: int, text: str, shape: Shape) -> Response:
    """An error in one of the shapes that servers of this kind use."""
    quoted = json.dumps(text, ensure_ascii=False)
    bodies = {
        "message": f'{{"message":{quoted}}}',
        "exception": (
            f'{{"message":"An error has occurred.","exceptionMessage":{quoted},'
            '"exceptionType":"Microsoft.OData.ODataException","stackTrace":"   at PX.Api"}'
        ),
        "error": f'{{"error":{{"code":"","message":{quoted}}}}}',
        "odata.error": (
            f'{{"odata.error":{{"code":"","message":{{"lang":"en-US","value":{quoted}}}}}}}'
        ),
        "text": text,
        "html": f"<html><body><h1>Server Error</h1><p>{escape(text)}</p></body></html>",
    }
    types = {"text": "text/plain", "html": HTML}
    return Response(status, bodies[shape].encode(), types.get(shape, JSON))


def refuse_json(request: Request) -> None:
    """Refuse to give metadata in a form that does not exist.

    Raises:
        Refusal: JSON is asked for.
    """
    accept = request.headers.get("accept", "*/*").lower()
    wants_json = "json" in request.query.get("$format", "").lower()
    if wants_json or ("json" in accept and "xml" not in accept and "*/*" not in accept):
        text = "A supported MIME type could not be found that matches the content type."
        raise Refusal(text)


def login_page() -> Response:
    """The page that asks people to sign in."""
    body = b"<!DOCTYPE html><html><head><title>Sign In</title></head><body>Sign In</body></html>"
    return Response(body=body, content_type=HTML)


def maintenance_page() -> Response:
    """The page of a site that is being worked on."""
    body = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>\
The site is under maintenance. Please try again later.</body></html>"
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, body, HTML)


def no_such_page() -> Response:
    """The web server's own answer to an address that no part of the application serves."""
    body = b"<!DOCTYPE html><html><head><title>The resource cannot be found.</title></head>\
<body><h1>Server Error in '/' Application.</h1><h2>The resource cannot be found.</h2></body></html>"
    return Response(HTTPStatus.NOT_FOUND, body, HTML)


def refusal(error: Refusal, shape: Shape = "message") -> Response:
    """The answer that a refusal stands for."""
    if isinstance(error, EmptyAnswer):
        return Response()
    return shaped(error.status, error.message, shape)


def unauthorized() -> Response:
    """The answer to wrong or missing credentials."""
    answer = message(HTTPStatus.UNAUTHORIZED, "You are not logged in.")
    answer.headers.append(("WWW-Authenticate", 'Basic realm="Acumatica"'))
    return answer
