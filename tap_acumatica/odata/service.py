"""A tenant's OData service: finds its address, and requests rows and metadata from it.

Facts: docs/acumatica.md, "URL shapes and versions".
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from urllib.parse import unquote, urlsplit

from tap_acumatica.odata import diagnosis
from tap_acumatica.odata.addresses import DAC, INTERFACES, Address
from tap_acumatica.odata.deletions import HEADER
from tap_acumatica.odata.diagnosis import NoService
from tap_acumatica.odata.errors import Action, Cause, InconsistentAnswer, RequestFailed
from tap_acumatica.odata.http.client import Request, Result
from tap_acumatica.odata.http.retry import retry_timeouts
from tap_acumatica.odata.log import REQUESTS, logger
from tap_acumatica.odata.payload.page import of_another
from tap_acumatica.odata.query import Link
from tap_acumatica.odata.urls import joined, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_acumatica.odata.dialect import ODataVersion
    from tap_acumatica.odata.http.auth import Auth
    from tap_acumatica.odata.http.client import Client
    from tap_acumatica.odata.model import Model
    from tap_acumatica.odata.payload.page import Page
    from tap_acumatica.odata.query import Query

Content = TypeVar("Content")

SELECT: Final = re.compile(r"(?:^|&)(?:\$|%24)select=", re.IGNORECASE)
"""Matches in a query string that selects columns of the set itself, not only of related records."""

MIN_RESIZABLE: Final = 100
"""Rows; a smaller page is not made smaller still if a status tells that it took too long."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Parameters that are added to each query string, and its maximum length in characters."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    max_length: int = 2048


@dataclass(frozen=True, slots=True)
class _ServiceRequest(Generic[Content]):
    """A request whose URL depends on the service's root, which need not be known yet."""

    url: Callable[[str], str]
    """Returns the URL below a root."""
    subject: str
    decode: Callable[[Any], Content]
    accept: str = "application/json"
    protocol: ODataVersion | None = None
    """The OData version of the request; None for `$metadata`, which reveals the version."""
    streamed: bool = False
    resizable: bool = False
    without: str = ""
    """The header of all requests that this one leaves out."""


class Service:
    """The OData service of one interface of one tenant."""

    def __init__(  # noqa: PLR0913 - each is a choice of its own
        self,
        client: Client,
        address: Address,
        tenant: str | None,
        limits: QueryLimits = QueryLimits(),
        *,
        auth: Auth | None = None,
        interface: str = DAC,
    ) -> None:
        self.client = client
        self._auth = auth
        self.tenant = tenant or address.tenant
        self.interface = interface
        self._address = address
        self._limits = limits
        self._roots: dict[ODataVersion | None, str] = {}
        self._search_lock = threading.Lock()

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        """Request rows.

        Raises:
            RequestFailed: As `Client.get`.
            InconsistentAnswer: A nextLink leads out of this service, or the content contradicts
                the request.
        """
        if SELECT.search(self._query_string(query)):
            select = () if isinstance(query, Link) else query.select
            decode = partial(_decode_selected, decode, subject, select)
        return self._send(
            _ServiceRequest(
                partial(self._url, query=query),
                subject,
                decode,
                query.format.accept,
                query.protocol,
                resizable=not isinstance(query, Link) and (query.top or 0) >= MIN_RESIZABLE,
                without="" if isinstance(query, Link) or not query.living else HEADER,
            )
        )

    def trust(self) -> None:
        """Let requests for the tenant be retried for their whole time again."""
        self.client.trust(self._owner)

    def sign_out(self) -> None:
        """Sign out of the tenant's idle sessions, since nothing is left to request."""
        self.client.sign_out(self._owner)

    @property
    def root(self) -> str | None:
        """The address that answered, or None if none has answered yet."""
        return next(iter(self._roots.values()), None)

    def release(self) -> str | None:
        """Return the Acumatica build, or None if the account may not see it."""
        return diagnosis.read_root(self.client, self._address.site, self._owner).release

    def metadata(self) -> Model:
        """Return the model of the service's `$metadata`; raises as `describe` does."""
        return self.describe().content

    def describe(self) -> Result[Model]:
        """Request the service's `$metadata`, as XML: if asked for JSON, the server answers 500.

        Raises:
            RequestFailed: As `Client.get`.
            NoService: The service or tenant does not exist, or not for this account.
        """
        # Imported on demand: a sync with a catalog needs no XML.
        from tap_acumatica.odata import csdl  # noqa: PLC0415

        request = _ServiceRequest(
            lambda root: root + "$metadata",
            "$metadata",
            csdl.parse,
            accept="application/xml",
            streamed=True,
        )
        result = self.client.retry(partial(self._describe, request), self._owner)
        self._roots[result.content.protocol] = self._roots[None]
        return result

    def _describe(self, request: _ServiceRequest[Model]) -> Result[Model]:
        send = partial(retry_timeouts, partial(self._send, request))
        try:
            return send()
        except RequestFailed as failed:
            if failed.cause is Cause.NO_RIGHTS:
                raise diagnosis.no_rights(INTERFACES[self.interface]) from failed
            if not _is_not_found(failed):
                raise
            if not failed.is_page:
                # The application itself answered: the interface exists, the tenant does not.
                raise self._unknown_tenant() from failed
            return diagnosis.behind_page(failed, self.client, self._address.site, self._owner, send)

    @property
    def _owner(self) -> str:
        """Key of the connection pool: all requests for a tenant share its sessions."""
        return f"{self._address.site} {self.tenant or ''}"

    def _unknown_tenant(self) -> NoService:
        tenant = f"for the tenant {self.tenant!r}" if self.tenant else "with no tenant named"
        message = (
            f"Acumatica has no OData service of {INTERFACES[self.interface]} at "
            f"{self._address.site} {tenant} (404): check the setting url, and the tenant's login "
            "name in it or in tenants."
        )
        return NoService(Cause.UNKNOWN_TENANT, message)

    def _url(self, root: str, query: Query | Link) -> str:
        if isinstance(query, Link):
            url = joined(root + query.base, query.url)
            if _below(url, root):
                return url
            message = (
                f"Acumatica's nextLink ({url}) leads out of the service ({root}): set "
                "client_side_paging to true."
            )
            raise InconsistentAnswer(message)
        if not _below(root + query.path, root):
            message = (
                f"Acumatica's entity set {query.entity_set!r} has a name that leads out of the "
                f"service ({root}): leave it out with exclude_entities."
            )
            raise InconsistentAnswer(message)
        text = self._query_string(query)
        return root + query.path + ("?" + text if text else "")

    def _query_string(self, query: Query | Link) -> str:
        if isinstance(query, Link):
            return urlsplit(query.url).query
        return query.string(self._limits.parameters, self._limits.max_length)

    def _send(self, request: _ServiceRequest[Content]) -> Result[Content]:
        root = self._roots.get(request.protocol)
        if root is not None:
            return self._send_to(root, request)
        with self._search_lock:
            return self.client.retry(partial(self._search_root, request), self._owner)

    def _search_root(self, request: _ServiceRequest[Content]) -> Result[Content]:
        """Send the request to each address in turn; the first that does not answer 404 is right.

        Raises:
            RequestFailed: The failure at an address that is not known to be wrong. If there is
                none, it is the one that tells most: a web page about rows, since they may be
                behind it, and Acumatica's own words about metadata.
        """
        root = self._roots.get(request.protocol)
        if root is not None:
            return self._send_to(root, request)
        failures: list[RequestFailed] = []
        for root in self._address.candidates(self.tenant, self.interface, request.protocol):
            try:
                result = self._send_to(root, request, searching=True)
            except RequestFailed as failed:
                if not _is_not_found(failed):
                    raise
                failures.append(failed)
            else:
                self._remember_root(root, request.protocol)
                return result
        if not failures:
            raise self._unknown_tenant()
        if request.protocol is None:
            raise min(failures, key=lambda failure: failure.is_page)
        from_elsewhere = [each for each in failures if each.cause is not Cause.NOT_FOUND]
        if not from_elsewhere:
            raise failures[-1]
        from_elsewhere[0].action = Action.RETRY
        raise from_elsewhere[0]

    def _remember_root(self, root: str, protocol: ODataVersion | None) -> None:
        if root not in self._roots.values() and self.client.verbosity >= REQUESTS:
            logger.info("The %s are at %s", INTERFACES[self.interface], root)
        self._roots[protocol] = root

    def _send_to(
        self, root: str, request: _ServiceRequest[Content], *, searching: bool = False
    ) -> Result[Content]:
        get = self.client.get_stream if request.streamed else self.client.get
        return get(
            Request(
                request.url(root),
                request.subject,
                self._owner,
                request.accept,
                self._auth,
                resizable=request.resizable,
                searching=searching,
                without=request.without,
            ),
            request.decode,
        )


def _is_not_found(failed: RequestFailed) -> bool:
    return failed.status == HTTPStatus.NOT_FOUND and failed.action is Action.SKIP


def _decode_selected(
    decode: Callable[[bytes], Page], subject: str, select: tuple[str, ...], body: bytes
) -> Page:
    """Decode the rows of a query that names its columns; rows with others are not its answer."""
    page = decode(body)
    if page.unrequested:
        raise of_another(subject, f"with {', '.join(sorted(page.unrequested))}")
    if page.selected is not None:
        missing = [name for name in select if name.lower() not in page.selected]
        if missing:
            raise of_another(subject, f"without {', '.join(missing)}")
    return page


def _below(url: str, root: str) -> bool:
    """Whether a URL belongs to the service: it has the same origin and lies below the root."""
    if origin(url) != origin(root):
        return False
    path, root_path = _path(url), _path(root)
    segments = re.split(r"[/\\]", path)
    return path.startswith(root_path) and path != root_path and not {".", ".."} & {*segments}


def _path(url: str) -> str:
    """Return the path of a URL, decoded as often as it was encoded."""
    path = urlsplit(url).path
    while (decoded := unquote(path)) != path:
        path = decoded
    return path.lower()
