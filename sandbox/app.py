"""From a request to its answer: sign-in, sessions, routing, cookies."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from sandbox.errors import Refusal
from sandbox.http import Request, RequestKind, Response, message, refusal, unauthorized
from sandbox.query import Reading
from sandbox.service import CONTROL, LOGOUT, Address, Service, find, kind_of
from sandbox.sessions import COOKIE, RequestRecord, Session, Sessions, credentials, session_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.clock import Clock

USERNAME = "odata"
PASSWORD = "sandbox-ä:p&ss"  # noqa: S105 - the demo account of a server without secrets
BRANCH = 16
HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
log = logging.getLogger(__name__)


class App:
    """Answers every request of one server."""

    def __init__(
        self,
        service: Service,
        clock: Clock,
        *,
        directory: str = "",
        time_zone: str | None = "GMTE0000U",
    ) -> None:
        self.service = service
        self.clock = clock
        self.directory = directory
        self.time_zone = time_zone
        self.sessions = Sessions()
        self.site = directory
        self.control: Callable[[str, Request], Response] | None = None
        self.before: list[Callable[[RequestRecord], object]] = []

    def answer(self, request: Request) -> Response:
        """Answer a request; what goes wrong inside is an answer too."""
        inner = request.path
        if inner.lower().startswith(self.directory.lower()):
            inner = inner[len(self.directory) :]
        if self.control is not None and (match := CONTROL.fullmatch(inner)):
            return self.control(match[1] or "", request)
        address = find(inner, self.service.store.tenants)
        logout = LOGOUT.fullmatch(inner) is not None
        request.kind = "logout" if logout else cast("RequestKind", kind_of(address))
        record = request.record()
        self.sessions.enter(record)
        try:
            response = self._logout(request) if logout else self._odata(request, address, record)
        except Refusal as error:
            response = refusal(error)
        except Exception:
            log.exception("The sandbox failed on %s", request.target)
            response = message(HTTPStatus.INTERNAL_SERVER_ERROR, "An error has occurred.")
        finally:
            self.sessions.leave()
        record.status = response.status
        self._dress(response)
        return response

    def _dress(self, response: Response) -> None:
        response.headers.insert(0, ("Date", self.clock.now().strftime(HTTP_DATE)))
        if response.odata:
            response.headers.append(("OData-Version", "4.0"))

    def _logout(self, request: Request) -> Response:
        if "content-length" not in request.headers:
            return Response(HTTPStatus.LENGTH_REQUIRED, b"<h1>Length Required</h1>", "text/html")
        self.sessions.close(session_id(request.headers.get("cookie")))
        return Response(HTTPStatus.NO_CONTENT)

    def _odata(self, request: Request, address: Address | None, record: RequestRecord) -> Response:
        if credentials(request.headers.get("authorization")) != f"{USERNAME}:{PASSWORD}":
            self.sessions.refuse()
            return unauthorized()
        session, new = self.sessions.session(session_id(request.headers.get("cookie")))
        record.session = session.id
        # One session is served serially, whatever number of connections it comes by.
        with session.lock:
            try:
                response = self._read(request, address, record)
            except Refusal as error:
                response = refusal(error)
        self._cookies(response, session, new=new)
        return response

    def _read(self, request: Request, address: Address | None, record: RequestRecord) -> Response:
        if address is None:
            path = request.path
            text = f"No HTTP resource was found that matches the request URI '{path}'."
            return message(HTTPStatus.NOT_FOUND, text)
        if request.method != "GET":
            text = f"The requested resource does not support http method '{request.method}'."
            return message(HTTPStatus.METHOD_NOT_ALLOWED, text)
        if request.kind == "service":
            return self.service.root(self.site, address)
        if request.kind == "metadata":
            return self.service.metadata(request)
        for callback in tuple(self.before):
            callback(record)
        reading = Reading()
        if request.kind == "count":
            return self.service.count(address, request, reading)
        return self.service.data(self.site, address, request, reading)

    def _cookies(self, response: Response, session: Session, *, new: bool) -> None:
        if new:
            response.headers.append(("Set-Cookie", f"{COOKIE}={session.id}; path=/; HttpOnly"))
        response.headers.append(("Set-Cookie", f"UserBranch={BRANCH}; path=/"))
        if self.time_zone is not None:
            locale = f"Locale=TimeZone={self.time_zone}&Culture=en-US; path=/"
            response.headers.append(("Set-Cookie", locale))
