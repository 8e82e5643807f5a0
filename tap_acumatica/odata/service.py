"""Addresses: from what the user gives to the services of a tenant.

Facts: docs/acumatica.md, "URL shapes and versions".
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from tap_acumatica.odata import csdl, diagnosis
from tap_acumatica.odata.addresses import DAC, INTERFACES, Address
from tap_acumatica.odata.diagnosis import NoService
from tap_acumatica.odata.errors import Cause, InconsistentAnswer, RequestFailed
from tap_acumatica.odata.http.client import Request, Result
from tap_acumatica.odata.http.retry import retry_timeouts
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.odata.query import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

    from tap_acumatica.odata.dialect import ODataVersion
    from tap_acumatica.odata.http.auth import Auth
    from tap_acumatica.odata.http.client import Client
    from tap_acumatica.odata.model import Model
    from tap_acumatica.odata.query import Query

Content = TypeVar("Content")

PORTS: Final[Mapping[str, str]] = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What is added to each query string, and how long it may be."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    longest: int = 2048


@dataclass(frozen=True, slots=True)
class _ServiceRequest(Generic[Content]):
    """A request that does not know yet where the service is."""

    url: Callable[[str], str]
    subject: str
    decode: Callable[[Any], Content]
    accept: str = "application/json"
    protocol: ODataVersion | None = None
    """The version in which it is asked, where that is known."""
    streamed: bool = False


class Service:
    """One interface of one tenant."""

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
        self._finding = threading.Lock()

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Content]
    ) -> Result[Content]:
        """Ask for rows.

        Raises:
            RequestFailed: As `Client.get`.
            InconsistentAnswer: A nextLink leads out of this service, or other content came.
        """
        url = partial(self._url, query=query)
        question = _ServiceRequest(url, subject, decode, query.format.accept, query.protocol)
        return self._ask(question)

    @property
    def root(self) -> str | None:
        """The address that answered; None while none did."""
        return next(iter(self._roots.values()), None)

    def release(self) -> str | None:
        """The build of Acumatica, where the account is told."""
        return diagnosis.look_at_root(self.client, self._address.site, self._owner).release

    def metadata(self) -> Model:
        """The content of `describe`."""
        return self.describe().content

    def describe(self) -> Result[Model]:
        """The service's `$metadata`. XML is asked for: for JSON the server answers 500.

        Raises:
            RequestFailed: As `Client.get`.
            NoService: There is no such service or tenant, or not for this account.
        """
        question = _ServiceRequest(
            lambda root: root + "$metadata",
            "$metadata",
            csdl.parse,
            accept="application/xml",
            streamed=True,
        )
        try:
            reply = retry_timeouts(partial(self._ask, question))
        except RequestFailed as failed:
            if failed.cause is Cause.NO_RIGHTS:
                raise diagnosis.no_rights(INTERFACES[self.interface]) from failed
            if failed.cause is not Cause.NOT_FOUND:
                raise
            raise diagnosis.not_found(
                failed, self.client, self._address.site, self._owner, self._missing()
            ) from failed
        self._roots[reply.content.protocol] = self._roots[None]
        return reply

    @property
    def _owner(self) -> str:
        """Whatever is asked of a tenant, and wherever, has the same sessions."""
        return f"{self._address.site} {self.tenant or ''}"

    def _missing(self) -> NoService:
        tenant = f"the tenant {self.tenant!r}" if self.tenant else "no tenant named"
        message = (
            f"Acumatica has no OData service of {INTERFACES[self.interface]} at "
            f"{self._address.site} for {tenant} (404): check the setting url and the tenant's "
            "login name in it or in tenants."
        )
        return NoService(Cause.UNKNOWN_TENANT, message)

    def _url(self, root: str, query: Query | Link) -> str:
        if isinstance(query, Link):
            url = urljoin(root + quote(query.entity_set, safe=""), query.url)
            if _below(url, root):
                return url
            message = (
                f"Acumatica's nextLink leads to another place ({url}) than the service ({root}): "
                "set client_side_paging to true."
            )
            raise InconsistentAnswer(masking.masked(message))
        text = query.string(self._limits.parameters, self._limits.longest)
        return root + query.path + ("?" + text if text else "")

    def _ask(self, question: _ServiceRequest[Content]) -> Result[Content]:
        root = self._roots.get(question.protocol)
        if root is None:
            with self._finding:
                return self._find(question)
        return self._ask_at(root, question)

    def _find(self, question: _ServiceRequest[Content]) -> Result[Content]:
        """Ask at each address in turn; the first that does not answer 404 is the service's."""
        known = self._roots.get(question.protocol)
        candidates = self._address.candidates(self.tenant, self.interface, question.protocol)
        if not candidates:
            raise self._missing()
        *others, last = (known,) if known else candidates
        for root in others:
            try:
                reply = self._ask_at(root, question)
            except RequestFailed as failed:
                if failed.cause is not Cause.NOT_FOUND:
                    raise
            else:
                return self._found(root, question, reply)
        return self._found(last, question, self._ask_at(last, question))

    def _found(
        self, root: str, question: _ServiceRequest[Content], reply: Result[Content]
    ) -> Result[Content]:
        if root not in self._roots.values():
            logger.info("The %s are at %s", INTERFACES[self.interface], root)
        self._roots[question.protocol] = root
        return reply

    def _ask_at(self, root: str, question: _ServiceRequest[Content]) -> Result[Content]:
        request = Request(
            question.url(root), question.subject, self._owner, question.accept, self._auth
        )
        send = self.client.get_stream if question.streamed else self.client.get
        return send(request, question.decode)


def _origin(place: SplitResult) -> tuple[str, str]:
    """Scheme and host, without the port that the scheme has by itself."""
    return place.scheme, place.netloc.lower().removesuffix(PORTS.get(place.scheme, ""))


def _below(url: str, root: str) -> bool:
    """Whether an address is one of the service's own: same origin, and below its root."""
    place, base = urlsplit(url), urlsplit(root)
    path, above = unquote(place.path).lower(), unquote(base.path).lower()
    return (
        _origin(place) == _origin(base)
        and path.startswith(above)
        and path != above
        and ".." not in path.split("/")
    )
