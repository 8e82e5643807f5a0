"""The application: sign-in, sessions, routing, cookies."""

from __future__ import annotations

import itertools
import logging
import re
import time
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from sandbox.addresses import CONTROL, ENTITY, LOGOUT, Address, parse_address
from sandbox.errors import Refusal
from sandbox.faults import Exchange
from sandbox.http import (
    Request,
    RequestKind,
    Response,
    error_response,
    login_page,
    maintenance_page,
    no_answer,
    page_not_found,
    refusal_response,
    refuse_json,
    unauthorized,
)
from sandbox.identity import IdentityServer
from sandbox.injection import FaultInjector
from sandbox.licence import Account, RequestQuota
from sandbox.service import Service, release_response
from sandbox.sessions import (
    COOKIE,
    RequestRecord,
    Session,
    Sessions,
    basic_credentials,
    session_id,
)
from sandbox.signin import IDENTITY, SignInService
from sandbox.store import ARCHIVED, DELETED

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.clock import Clock
    from sandbox.identity import Grant
    from sandbox.inquiries import Inquiries
    from sandbox.quirks import Quirks

USERNAME = "odata"
PASSWORD = "sandbox-ä:p&ss"  # noqa: S105 - the demo account of a server without secrets
BRANCH = 16
SHOWING = {"px-apiarchive": ARCHIVED, "px-apideleted": DELETED}
LOGIN_PAGE = re.compile("/Frames/Login.aspx", re.IGNORECASE)
# Either plain digits, or an opaque token that must come back exactly as sent.
TOKEN = re.compile(r"(?:\$|%24)skiptoken=sbx(?:\+=%2B)?(\d+)(?:&|$)")
HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"
log = logging.getLogger(__name__)


def apply_skip_token(request: Request) -> None:
    """Turn a nextLink's ``$skiptoken`` into the ``$skip`` it stands for.

    Raises:
        Refusal: The token is not exactly the one in the nextLink.
    """
    token = request.query.get("$skiptoken", "")
    if not token.startswith("sbx"):
        return
    del request.query["$skiptoken"]
    match = TOKEN.search(request.raw_query)
    if match is None:
        message = "The skip token is not valid."
        raise Refusal(message, HTTPStatus.BAD_REQUEST)
    request.query["$skip"] = match[1]


def check_scope(grant: Grant | None, address: Address | None) -> None:
    """Limit a token to its own tenant and to the scopes of the API.

    Raises:
        Refusal: The token does not cover the address.
    """
    if grant is None or address is None:
        return
    if address.tenant != grant.tenant or not grant.scopes & {"api", "api:concurrent_access"}:
        message = "The access token does not cover this."
        raise Refusal(message, HTTPStatus.FORBIDDEN)


class App:
    """Answers every request of one server.

    Attributes:
        control: Answers the control addresses, given the action and the request.
        before: Callbacks that run before each data request.
    """

    def __init__(
        self,
        service: Service,
        inquiries: Inquiries,
        clock: Clock,
        quirks: Quirks,
        *,
        directory: str = "",
    ) -> None:
        self.service = service
        self.inquiries = inquiries
        self.clock = clock
        self.directory = directory
        self.quirks = quirks
        self.faults = FaultInjector()
        self._answers = itertools.count()
        self.sessions = Sessions()
        self.account = Account(USERNAME, PASSWORD)
        self.quota = RequestQuota(clock)
        self.identity = IdentityServer(
            service.store.tenants,
            clock,
            lambda name, password: self.account.admits(f"{name}:{password}", quirks.lockout),
        )
        self.sign_in = SignInService(self.identity)
        self.site = directory
        self.control: Callable[[str, Request], Response] | None = None
        self.before: list[Callable[[RequestRecord], object]] = []

    def answer(self, request: Request) -> Response:
        """Answer a request; an internal error becomes a response with status 500."""
        inner = request.path
        if inner.lower().startswith(self.directory.lower()):
            inner = inner[len(self.directory) :]
        if self.control is not None and (match := CONTROL.fullmatch(inner)):
            return self.control(match[1] or "", request)
        if LOGIN_PAGE.match(inner):
            return login_page()
        if match := IDENTITY.fullmatch(inner):
            return self._identity(match[1], request)
        address = parse_address(inner, self.service.store.tenants, self.quirks.addresses)
        logout = LOGOUT.fullmatch(inner) is not None
        request.kind = (
            "logout" if logout else cast("RequestKind", address.kind if address else "other")
        )
        record = request.record()
        self.sessions.enter(record)
        try:
            if self.quirks.maintenance:
                response = maintenance_page()
            elif logout:
                response = self._logout(request)
            else:
                entity = ENTITY.fullmatch(inner) is not None
                response = self._signed_in(request, address, record, entity=entity)
        except Refusal as error:
            response = refusal_response(error, self.quirks.refusal_shape)
        except Exception:
            log.exception("The sandbox failed on %.500s", request.target)
            response = error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "An error has occurred.")
        finally:
            self.sessions.leave()
        record.status = response.status or None
        self._add_headers(response)
        return response

    def _identity(self, path: str, request: Request) -> Response:
        request.kind = "identity"
        record = request.record()
        self.sessions.enter(record)
        try:
            exchange = self._exchange(request, Session(""), self.site)
            response = self.faults.inject(exchange) or self.sign_in.answer(self.site, path, request)
        except Refusal as error:
            response = refusal_response(error, self.quirks.refusal_shape)
        finally:
            self.sessions.leave()
        for hook in exchange.response_hooks:
            hook(response)
        record.status = response.status or None
        self._add_headers(response)
        return response

    def _add_headers(self, response: Response) -> None:
        now, skew = self.clock.now(), self.quirks.skew
        if skew:
            now += timedelta(seconds=skew[next(self._answers) % len(skew)])
        response.headers.insert(0, ("Date", now.strftime(HTTP_DATE)))
        if response.odata:
            response.headers.append(("OData-Version", "4.0"))

    def _logout(self, request: Request) -> Response:
        if "content-length" not in request.headers:
            return Response(HTTPStatus.LENGTH_REQUIRED, b"<h1>Length Required</h1>", "text/html")
        cookie = session_id(request.headers.get("cookie"))
        exchange = self._exchange(request, Session(cookie or ""), self.site)
        fault_response = self.faults.inject(exchange)
        if fault_response is None:
            # Without a session cookie, the token names the session, even if it has expired.
            grant, _ = self.identity.bearer(request.headers.get("authorization"))
            self.sessions.close(cookie or (grant.session if grant else None))
        response = fault_response or Response(HTTPStatus.NO_CONTENT)
        for hook in exchange.response_hooks:
            hook(response)
        return response

    def _exchange(
        self, request: Request, session: Session, root: str, address: Address | None = None
    ) -> Exchange:
        shown = {3: self.quirks.shown_in_odata3, 4: self.quirks.shown_in_inquiries}
        of_inquiries = address is not None and address.inquiries
        shown_here = shown[address.version] if address and of_inquiries else None
        settings = self.quirks.read_settings(shown_here)
        for header, bit in SHOWING.items():
            if request.headers.get(header, "").upper() == "SHOW":
                settings.hidden &= ~bit
        return Exchange(request, settings, session, self.sessions, self.site, root)

    def _signed_in(
        self, request: Request, address: Address | None, record: RequestRecord, *, entity: bool
    ) -> Response:
        header = request.headers.get("authorization")
        grant, authorized = self.identity.bearer(header)
        if grant is None:
            authorized = self.account.admits(basic_credentials(header), self.quirks.lockout)
        elif not authorized and "offline_access" not in grant.scopes:
            self.sessions.close(grant.session)  # the session ends with the token
        if not authorized:
            self.sessions.count_unauthorized()
            return unauthorized()
        if self.quota.admit(self.quirks.requests_per_minute):
            self.sessions.count_delayed()
            time.sleep(self.quirks.queue_delay)
        shared = grant is not None and grant.shares_session
        cookie = session_id(request.headers.get("cookie"))
        current = grant.session if grant and shared else cookie
        session, new = self.sessions.find_or_open(current, self.quirks.max_sessions)
        record.session = session.id
        if grant and shared:
            grant.session, new = session.id, False
        if session.stuck:
            return no_answer()
        # The requests of one session are served one at a time, whatever their connections.
        with session.lock:
            try:
                check_scope(grant, address)
                if entity:
                    exchange = self._exchange(request, session, self.site)
                    response = self.faults.inject(exchange) or release_response(self.quirks.release)
                elif address is not None and not self.quirks.odata:
                    response = page_not_found()
                else:
                    response = self._read(request, address, record, session)
            except Refusal as error:
                response = refusal_response(error, self.quirks.refusal_shape)
        # In the recorded answers, data in OData 3 come without the time zone.
        zoned = address is None or address.version != 3 or request.kind != "data"  # noqa: PLR2004
        self._set_cookies(response, session, new=new, zone=self.quirks.cookie if zoned else None)
        return response

    def _read(
        self, request: Request, address: Address | None, record: RequestRecord, session: Session
    ) -> Response:
        if address is None:
            path = request.path
            text = f"No HTTP resource was found that matches the request URI '{path}'."
            return error_response(HTTPStatus.NOT_FOUND, text)
        if request.method != "GET":
            text = f"The requested resource does not support http method '{request.method}'."
            return error_response(HTTPStatus.METHOD_NOT_ALLOWED, text)
        if request.kind == "data":
            for callback in tuple(self.before):
                callback(record)
        apply_skip_token(request)
        exchange = self._exchange(request, session, self.site + address.root, address)
        response = self.faults.inject(exchange) or self._serve(address, exchange)
        for hook in exchange.response_hooks:
            hook(response)
        return response

    def _serve(self, address: Address, exchange: Exchange) -> Response:
        request, service = exchange.request, self.service
        if address.inquiries:
            return self._serve_inquiries(address, exchange)
        if request.kind == "service":
            return service.service_document(self.site, address)
        if request.kind == "metadata":
            return service.metadata(request, address.tenant, annotations=self.quirks.annotations)
        if request.kind == "count":
            return service.count(address, request, exchange.settings)
        return service.data(self.site, address, request, exchange.settings, exchange.page_hooks)

    def _serve_inquiries(self, address: Address, exchange: Exchange) -> Response:
        request, inquiries = exchange.request, self.inquiries
        if request.kind == "service":
            return inquiries.service_document(self.site, address, request)
        if request.kind == "metadata":
            refuse_json(request)
            return inquiries.metadata(address.version, address.tenant)
        return inquiries.data(self.site, address, request, exchange.settings, exchange.page_hooks)

    def _set_cookies(
        self, response: Response, session: Session, *, new: bool, zone: str | None
    ) -> None:
        if new:
            response.headers.append(("Set-Cookie", f"{COOKIE}={session.id}; path=/; HttpOnly"))
        response.headers.append(("Set-Cookie", f"UserBranch={BRANCH}; path=/"))
        if zone is not None:
            locale = f"Locale=TimeZone={zone}&Culture=en-US; path=/"
            response.headers.append(("Set-Cookie", locale))
