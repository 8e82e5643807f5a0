"""The kinds of faults, one function each.

A kind either returns a response itself, or changes how the table is read, the page, or the
finished response.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from sandbox.errors import (
    LOGIN_LIMIT,
    LOGIN_LIMIT_DETAILS,
    NOT_SET_UP,
    SQL_TIMEOUT,
    UNKNOWN_COLUMN,
)
from sandbox.http import (
    HTML,
    Response,
    Shape,
    error_response,
    login_page,
    no_answer,
    server_exception,
    shaped_error,
    titled_page,
    unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.faults import Exchange, Fault
    from sandbox.query import Page

    Kind = Callable[[Fault, Exchange], Response | None]

TOKEN = "$skiptoken="  # noqa: S105 - a query option
# SQL templates that show the values of a column as another JSON type.
RETYPED: Mapping[str, str] = {
    "string": "json_quote(CAST({0} AS TEXT))",
    "number": "coalesce(length({0}),'null')",
    "boolean": "CASE WHEN {0} IS NULL THEN 'null' ELSE 'true' END",
    "object": """'{"Value":'||json_quote(CAST({0} AS TEXT))||'}'""",
}


def rows_cap(fault: Fault, exchange: Exchange) -> None:
    """Return at most ``rows`` rows without saying so; ``count=False`` leaves the count out too."""
    exchange.settings.cap = fault.integer("rows", 250)
    exchange.settings.apply_count &= fault.enabled("count", default=True)


def related_cap(fault: Fault, exchange: Exchange) -> None:
    """Return at most ``rows`` rows in an expanded array, with a nextLink to the rest."""
    exchange.settings.related_cap = fault.integer("rows", 2)


def next_link(fault: Fault, exchange: Exchange) -> None:
    """Return pages of ``size`` rows with a nextLink in a ``style`` of :func:`link`."""
    size, style = fault.integer("size", 100), fault.text("style", "absolute")
    exchange.settings.cap = size
    skip = int(exchange.request.query.get("$skip", 0))

    def add(page: Page, head: list[str]) -> None:
        if page.more or style == "loop":
            at = size if style == "loop" else skip + len(page.rows)
            head.append(f'"@odata.nextLink":{json.dumps(link(exchange, style, at, size))}')

    exchange.page_hooks.append(add)


def link(exchange: Exchange, style: str, at: int, size: int) -> str:
    """Return the address of the page that begins at row ``at``.

    Args:
        exchange: The request for the current page.
        style: ``absolute``; ``relative`` to the host; ``service``: relative to the service root;
            ``query``: the query alone; ``token``: absolute, with a token that must come back
            unchanged; ``foreign``: on another host; ``loop``: always the second page.
        at: Position of the first row.
        size: Number of rows to subtract from ``$top``.
    """
    options = []
    for part in exchange.request.raw_query.split("&"):
        name, _, value = part.replace("%24", "$").partition("=")
        if name == "$top":
            options.append(f"$top={max(int(value) - size, 1)}")
        elif part and name not in {"$skip", "$skiptoken"}:
            options.append(part)
    token = f"sbx+=%2B{at}" if style == "token" else f"sbx{at}"
    query = "?" + "&".join([*options, TOKEN + token])
    entity_set = exchange.request.path.rpartition("/")[2]
    host_relative = quote(exchange.request.path)
    origin = exchange.request.origin
    return {
        "relative": host_relative + query,
        "service": quote(entity_set) + query,
        "query": query,
        "foreign": f"http://elsewhere.example{host_relative}{query}",
    }.get(style, origin + host_relative + query)


def empty_page(_fault: Fault, exchange: Exchange) -> None:
    """Return no rows, and a nextLink that leads to them."""
    skip = int(exchange.request.query.get("$skip", 0))

    def empty(page: Page, head: list[str]) -> None:
        page.rows.clear()
        # The link leads to all the rows of this page.
        address = link(exchange, "absolute", skip, 0)
        head.append(f'"@odata.nextLink":{json.dumps(address)}')

    exchange.page_hooks.append(empty)


def duplicate_row(fault: Fault, exchange: Exchange) -> None:
    """Return one row twice: the one at position ``at``, by default the last of the first page."""
    query = exchange.request.query
    top, skip = int(query.get("$top", 1000)), int(query.get("$skip", 0))
    at = fault.integer("at", top)
    if 0 < at <= skip:
        query["$skip"] = str(skip - 1)
        return

    def insert(page: Page, _head: list[str]) -> None:
        if 0 < at - skip <= len(page.rows):
            page.rows.insert(at - skip, page.rows[at - skip - 1])
            del page.rows[top:]

    exchange.page_hooks.append(insert)


def empty_body(_fault: Fault, _exchange: Exchange) -> Response:
    """Answer 200 without a body."""
    return Response(body=b"", odata=True)


def html_login(_fault: Fault, _exchange: Exchange) -> Response:
    """Answer 200 with the sign-in page."""
    return login_page()


def redirect(_fault: Fault, exchange: Exchange) -> Response:
    """Redirect (302) to the sign-in page."""
    return_url = quote(exchange.request.path, safe="")
    location = f"{exchange.site}/Frames/Login.aspx?ReturnUrl={return_url}"
    body = b"<html><body><h2>Object moved</h2></body></html>"
    return Response(HTTPStatus.FOUND, body, HTML, [("Location", location)])


def truncated(fault: Fault, exchange: Exchange) -> None:
    """Cut the body off after the fraction ``keep``, with the Content-Length that fits."""

    def cut(response: Response) -> None:
        response.body = response.body[: int(len(response.body) * fault.number("keep", 0.5))]

    exchange.response_hooks.append(cut)


def short_body(_fault: Fault, exchange: Exchange) -> None:
    """Close the connection before the announced Content-Length is reached."""

    def send(sock: socket.socket, head: bytes, payload: bytes) -> bool:
        header = b"Content-Length: %d"
        size = len(payload)
        sock.sendall(head.replace(header % size, header % (size + 1000)) + payload)
        return False

    exchange.response_hooks.append(lambda response: setattr(response, "send", send))


def reset(fault: Fault, exchange: Exchange) -> None:
    """Reset the connection: ``when`` is ``before`` the response, in the ``headers`` or ``body``."""
    when = fault.text("when", "before")

    def send(sock: socket.socket, head: bytes, payload: bytes) -> bool:
        parts = {"headers": head[: len(head) // 2], "body": head + payload[: len(payload) // 2]}
        sock.sendall(parts.get(when, b""))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Python delays close() while the handler's files are open on the socket.
        os.close(sock.detach())
        return False

    exchange.response_hooks.append(lambda response: setattr(response, "send", send))


def is_small(fault: Fault, exchange: Exchange) -> bool:
    """Return whether a request is spared, since its ``$top`` is not above ``above_top``."""
    limit = fault.options.get("above_top")
    top = exchange.request.query.get("$top")
    return limit is not None and top is not None and int(top) <= float(limit)


def hang(fault: Fault, exchange: Exchange) -> Response | None:
    """Send nothing until the client leaves.

    With ``above_top``, only requests with a larger ``$top`` or none are hit; with ``stuck=True``,
    the session serves no further request.
    """
    if is_small(fault, exchange):
        return None
    exchange.session.stuck = fault.enabled("stuck", default=False)
    return no_answer()


def refused(status: int, fault: Fault, text: str) -> Response:
    """Return an error with a status and, if the fault has the option, Retry-After."""
    response = error_response(status, fault.text("message", text))
    if fault.options.get("retry_after") is not None:
        response.headers.append(("Retry-After", fault.text("retry_after")))
    return response


def throttle(fault: Fault, _exchange: Exchange) -> Response:
    """Answer 429; ``retry_after`` is in seconds or an HTTP date."""
    return refused(HTTPStatus.TOO_MANY_REQUESTS, fault, "Too many requests.")


def unavailable(fault: Fault, _exchange: Exchange) -> Response:
    """Answer 503; ``retry_after`` is in seconds or an HTTP date."""
    response = refused(HTTPStatus.SERVICE_UNAVAILABLE, fault, "The service is unavailable.")
    response.content_type, response.body = HTML, b"<h2>HTTP Error 503. Service unavailable.</h2>"
    return response


def error(fault: Fault, exchange: Exchange) -> Response | None:
    """Answer with a ``status`` (500) and a ``message`` in a ``shape``, or a ``body``.

    With ``above_top``, only requests with a larger ``$top`` or none are hit.
    """
    if is_small(fault, exchange):
        return None
    status = fault.integer("status", HTTPStatus.INTERNAL_SERVER_ERROR)
    text = fault.text("message", "An error has occurred.")
    response = shaped_error(status, text, cast("Shape", fault.text("shape", "message")))
    if "body" in fault.options:
        response.body = fault.text("body").encode()
        response.content_type = fault.text("content_type", response.content_type)
    return response


def timed_out(fault: Fault, exchange: Exchange) -> Response | None:
    """Answer 500, since the database took too long; ``above_top`` as for ``error``."""
    if is_small(fault, exchange):
        return None
    return server_exception(SQL_TIMEOUT, "System.Data.SqlClient.SqlException")


def blocked(fault: Fault, _exchange: Exchange) -> Response:
    """Answer with the page of something in front of Acumatica, with a ``status`` (403)."""
    status = fault.integer("status", HTTPStatus.FORBIDDEN)
    return titled_page("Request blocked", status, "The requested URL was rejected.")


def error_in_body(fault: Fault, _exchange: Exchange) -> Response:
    """Answer 200 with no rows and an error with a ``message``."""
    text = fault.text("message", "An error has occurred.")
    content = {"value": [], "error": {"code": "", "message": text}}
    return Response(body=json.dumps(content).encode(), odata=True)


def login_limit(fault: Fault, exchange: Exchange) -> Response:
    """Refuse, since there are too many sessions, in a recorded ``form``.

    The forms are ``redirect``, ``page`` (with a ``status``, 200), ``json`` and ``iis``.
    """
    form = fault.text("form", "json")
    if form == "redirect":
        address = f"{exchange.site}/Frames/Error.aspx?exceptionID=1&message={quote(LOGIN_LIMIT)}"
        return Response(HTTPStatus.FOUND, b"", HTML, [("Location", address)])
    if form == "page":
        return titled_page("API Login Limit", fault.integer("status", HTTPStatus.OK))
    if form == "iis":
        text = b"The custom error module does not recognize this error."
        return Response(HTTPStatus.TOO_MANY_REQUESTS, text, "text/html")
    trace = "PX.LicensePolicy.PXLicensePolicy.CheckApiUsersLimits(PXLicense license)"
    return server_exception(LOGIN_LIMIT_DETAILS, "PX.Data.PXException", trace)


def not_set_up(fault: Fault, _exchange: Exchange) -> Response:
    """Answer 500, since the preferences on a ``form`` are missing."""
    text = NOT_SET_UP.format(fault.text("form", "Accounts Receivable Preferences"))
    return server_exception(text, "PX.Data.PXSetupNotEnteredException")


def unknown_column(_fault: Fault, exchange: Exchange) -> Response | None:
    """Refuse queries with ``$select``, since a column in it is not known."""
    if "$select" not in exchange.request.query:
        return None
    return server_exception(UNKNOWN_COLUMN, "System.Collections.Generic.KeyNotFoundException")


def informational(fault: Fault, exchange: Exchange) -> None:
    """Send an informational answer with a ``status`` (103) in front of the answer."""
    status = fault.integer("status", HTTPStatus.EARLY_HINTS)

    def send(sock: socket.socket, head: bytes, payload: bytes) -> bool:
        sock.sendall(b"HTTP/1.1 %d Wait\r\nLink: </>\r\n\r\n" % status + head + payload)
        return True

    exchange.response_hooks.append(lambda response: setattr(response, "send", send))


def repeated(_fault: Fault, exchange: Exchange) -> None:
    """Send the session's previous answer once more, in front of the answer."""
    session = exchange.session

    def send(sock: socket.socket, head: bytes, payload: bytes) -> bool:
        sock.sendall(session.last_answer + head + payload)
        session.last_answer = head + payload
        return True

    exchange.response_hooks.append(lambda response: setattr(response, "send", send))


def control_character(_fault: Fault, exchange: Exchange) -> None:
    """Insert a character that XML does not allow into the first label of the metadata."""

    def insert(response: Response) -> None:
        before, mark, label = response.body.partition(b'Core.V1.Description" String="')
        response.body = before + mark + b"&#x1F;" * bool(mark) + label

    exchange.response_hooks.append(insert)


def signed_out(_fault: Fault, exchange: Exchange) -> Response:
    """End the session and answer 401."""
    exchange.sessions.close(exchange.session.id)
    exchange.sessions.count_unauthorized()
    return unauthorized()


def forbidden(fault: Fault, _exchange: Exchange) -> Response:
    """Answer 403."""
    return refused(HTTPStatus.FORBIDDEN, fault, "You have insufficient rights.")


def not_found(fault: Fault, _exchange: Exchange) -> Response:
    """Answer 404."""
    return refused(HTTPStatus.NOT_FOUND, fault, "No HTTP resource was found.")


def vanish(fault: Fault, exchange: Exchange) -> None:
    """Remove a ``column``."""
    exchange.settings.vanished_columns |= {fault.text("column").lower()}


def retype(fault: Fault, exchange: Exchange) -> None:
    """Return the values of a ``column`` as ``into``: string, number, boolean, object."""
    template = RETYPED[fault.text("into", "string")]
    exchange.settings.json_templates[fault.text("column").lower()] = template


def ignore_order(_fault: Fault, exchange: Exchange) -> None:
    """Ignore ``$orderby``."""
    exchange.settings.apply_order = False


def ignore_filter(_fault: Fault, exchange: Exchange) -> None:
    """Ignore ``$filter``."""
    exchange.settings.apply_filter = False


def ignore_count(_fault: Fault, exchange: Exchange) -> None:
    """Ignore ``$count``."""
    exchange.settings.apply_count = False


def nulls_last(_fault: Fault, exchange: Exchange) -> None:
    """Sort nulls last."""
    exchange.settings.nulls_last = True


def shuffle(_fault: Fault, exchange: Exchange) -> None:
    """Return rows of equal order in another order at each request."""
    exchange.settings.shuffle_ties = True


def latency(fault: Fault, _exchange: Exchange) -> None:
    """Wait ``ms`` milliseconds before the response."""
    time.sleep(fault.number("ms", 50) / 1000)


KINDS: Mapping[str, Kind] = {
    "blocked": blocked,
    "control_character": control_character,
    "duplicate_row": duplicate_row,
    "empty_body": empty_body,
    "empty_page": empty_page,
    "error": error,
    "error_in_body": error_in_body,
    "forbidden": forbidden,
    "hang": hang,
    "ignore_count": ignore_count,
    "ignore_filter": ignore_filter,
    "ignore_order": ignore_order,
    "informational": informational,
    "latency": latency,
    "login_limit": login_limit,
    "login_page": html_login,
    "next_link": next_link,
    "not_found": not_found,
    "not_set_up": not_set_up,
    "nulls_last": nulls_last,
    "redirect": redirect,
    "related_cap": related_cap,
    "repeated": repeated,
    "reset": reset,
    "retype": retype,
    "rows_cap": rows_cap,
    "short_body": short_body,
    "shuffle": shuffle,
    "throttle": throttle,
    "timed_out": timed_out,
    "truncated": truncated,
    "unauthorized": signed_out,
    "unavailable": unavailable,
    "unknown_column": unknown_column,
    "vanish": vanish,
}
