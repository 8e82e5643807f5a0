"""Addresses: from what the user gives to the services of a tenant.

Facts: docs/acumatica.md, "URL shapes and versions".
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from tap_acumatica.odata import diagnosis
from tap_acumatica.odata import model as metadata
from tap_acumatica.odata.diagnosis import NoService
from tap_acumatica.odata.dialect import Protocol
from tap_acumatica.odata.errors import Cause, InconsistentAnswer, RequestFailed, SettingsError
from tap_acumatica.odata.http.client import Reply, Request
from tap_acumatica.odata.http.retry import despite_timeouts
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.odata.paging.by_key import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

    from tap_acumatica.odata.http.auth import Auth
    from tap_acumatica.odata.http.client import Client
    from tap_acumatica.odata.model import Model
    from tap_acumatica.odata.query import Query

Content = TypeVar("Content")

DAC: Final = "dac"
INQUIRY: Final = "gi"
PORTS: Final[Mapping[str, str]] = {"http": ":80", "https": ":443"}
INTERFACES: Final[Mapping[str, str]] = {DAC: "data access classes", INQUIRY: "generic inquiries"}
"""What an instance may expose, and what each is called."""


@dataclass(frozen=True, slots=True)
class Family:
    """A form of address under which an interface may answer.

    Attributes:
        protocol: The version that is spoken there as far as is known; its metadata have the word.
        path: Below the site, to be formatted with the tenant.
        pattern: Of the path of an address that a user gives.
        without_tenant: The path where no tenant is named; None where one has to be.
    """

    interface: str
    protocol: Protocol
    path: str
    pattern: re.Pattern[str]
    without_tenant: str | None = None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(f"(?P<site>.*(?<!/api)){text}", re.IGNORECASE)


FAMILIES: Final = (
    Family(
        DAC,
        Protocol.V4,
        "/t/{tenant}/api/odata/dac/",
        _pattern(r"/t/(?P<tenant>[^/]+)/api/odata/dac"),
    ),
    Family(
        DAC,
        Protocol.V4,
        "/odatav4/{tenant}/",
        _pattern(r"/odatav4(?:/(?P<tenant>[^/]+))?"),
        "/odatav4/",
    ),
    Family(
        INQUIRY,
        Protocol.V4,
        "/t/{tenant}/api/odata/gi/",
        _pattern(r"/t/(?P<tenant>[^/]+)/api/odata/gi"),
    ),
    Family(
        INQUIRY,
        Protocol.V3,
        "/odata/{tenant}/",
        _pattern(r"/odata(?:/(?P<tenant>[^/]+))?"),
        "/odata/",
    ),
)
"""Those of current releases first."""

OF_A_TENANT: Final = re.compile(r"(?P<site>.*)/t/(?P<tenant>[^/]+)", re.IGNORECASE)
"""The path of an address that names a tenant, but no interface."""


@dataclass(frozen=True, slots=True)
class Address:
    """The setting `url`, taken apart.

    Attributes:
        site: Scheme, host and virtual directory, without a slash at the end.
        tenant: Login name in the address, or None.
        families: Forms of address under which services may answer.
    """

    site: str
    tenant: str | None
    families: tuple[Family, ...] = FAMILIES

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take any of the forms apart in which users have the address.

        Raises:
            SettingsError: It has a query, or is the address of something below a service.
        """
        parts = urlsplit(url.strip())
        if parts.query or parts.fragment:
            message = (
                f"The setting url ({url}) is the address of a page: give the site alone, such as "
                "https://company.acumatica.com."
            )
            raise SettingsError(message)
        path = re.sub(r"(/\$metadata)?/*$", "", parts.path)
        origin = f"{parts.scheme}://{parts.netloc}"
        for family in FAMILIES:
            if found := family.pattern.fullmatch(path):
                tenant = found["tenant"]
                return cls(origin + found["site"], tenant and unquote(tenant), (family,))
        if found := OF_A_TENANT.fullmatch(path):
            return cls(origin + found["site"], unquote(found["tenant"]))
        if re.search(r"/odata\b", path, re.IGNORECASE):
            message = (
                f"The setting url ({url}) is no address of an OData service: give the site alone, "
                "such as https://company.acumatica.com."
            )
            raise SettingsError(message)
        return cls(origin + path.rstrip("/"), None)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces that it leads to: a full address names its own."""
        return tuple(dict.fromkeys(family.interface for family in self.families))

    def candidates(
        self, tenant: str | None, interface: str = DAC, protocol: Protocol | None = None
    ) -> tuple[str, ...]:
        """Addresses at which the tenant's service may answer; each ends with a slash.

        Args:
            tenant: Its login name; None: the one in the address.
            interface: One of INTERFACES.
            protocol: Where it is likely to be spoken comes first.
        """
        tenant = tenant or self.tenant
        families = [family for family in self.families if family.interface == interface]
        families.sort(key=lambda family: protocol not in {None, family.protocol})
        paths = (
            family.without_tenant if tenant is None else family.path.format(tenant=_segment(tenant))
            for family in families
        )
        return tuple(self.site + path for path in paths if path)


def _segment(tenant: str) -> str:
    return quote(tenant, safe="")


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What is added to each query string, and how long it may be."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    longest: int = 2048


@dataclass(frozen=True, slots=True)
class _Question(Generic[Content]):
    """A request that does not know yet where the service is."""

    url: Callable[[str], str]
    subject: str
    decode: Callable[[Any], Content]
    accept: str = "application/json"
    protocol: Protocol | None = None
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
        self._roots: dict[Protocol | None, str] = {}
        self._finding = threading.Lock()

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Content]
    ) -> Reply[Content]:
        """Ask for rows.

        Raises:
            RequestFailed: As `Client.get`.
            InconsistentAnswer: A nextLink leads out of this service, or other content came.
        """
        url = partial(self._url, query=query)
        question = _Question(url, subject, decode, query.format.accept, query.protocol)
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

    def describe(self) -> Reply[Model]:
        """The service's `$metadata`. XML is asked for: for JSON the server answers 500.

        Raises:
            RequestFailed: As `Client.get`.
            NoService: There is no such service or tenant, or not for this account.
        """
        question = _Question(
            lambda root: root + "$metadata",
            "$metadata",
            metadata.parse,
            accept="application/xml",
            streamed=True,
        )
        try:
            reply = despite_timeouts(partial(self._ask, question))
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

    def _ask(self, question: _Question[Content]) -> Reply[Content]:
        root = self._roots.get(question.protocol)
        if root is None:
            with self._finding:
                return self._find(question)
        return self._ask_at(root, question)

    def _find(self, question: _Question[Content]) -> Reply[Content]:
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
        self, root: str, question: _Question[Content], reply: Reply[Content]
    ) -> Reply[Content]:
        if root not in self._roots.values():
            logger.info("The %s are at %s", INTERFACES[self.interface], root)
        self._roots[question.protocol] = root
        return reply

    def _ask_at(self, root: str, question: _Question[Content]) -> Reply[Content]:
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
