"""Addresses: from what the user gives to the services of a tenant.

Facts: docs/acumatica.md, "URL shapes and versions".
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from tap_acumatica.odata import metadata
from tap_acumatica.odata.client import Reply, Request
from tap_acumatica.odata.errors import (
    DiscoveryError,
    InconsistentAnswer,
    RequestFailed,
    SettingsError,
)
from tap_acumatica.odata.log import masking
from tap_acumatica.odata.paging import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_acumatica.odata.client import Client
    from tap_acumatica.odata.query import Query

Content = TypeVar("Content")

CURRENT: Final = re.compile(r"(?P<site>.*)/t/(?P<tenant>[^/]+)/api/odata/dac", re.IGNORECASE)
OLDER: Final = re.compile(r"(?P<site>.*)/odatav4(?:/(?P<tenant>[^/]+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """The setting `url`, taken apart.

    Attributes:
        site: Scheme, host and virtual directory, without a slash at the end.
        tenant: Login name in the address, or None.
        roots: Templates of the service's address, those of current releases first.
    """

    site: str
    tenant: str | None
    roots: tuple[str, ...]

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take any of the forms apart in which users have the address.

        Raises:
            SettingsError: It has a query, or is the address of another interface.
        """
        parts = urlsplit(url.strip())
        if parts.query or parts.fragment:
            message = (
                f"The setting url ({url}) is the address of a page: give the site alone, such as "
                "https://company.acumatica.com."
            )
            raise SettingsError(message)
        path = re.sub(r"/(\$metadata)?$", "", parts.path)
        origin = f"{parts.scheme}://{parts.netloc}"
        current, older = "{site}/t/{tenant}/api/odata/dac/", "{site}/odatav4/{tenant}/"
        for pattern, roots in ((CURRENT, (current,)), (OLDER, (older,))):
            if found := pattern.fullmatch(path):
                tenant = found["tenant"]
                return cls(origin + found["site"], tenant and unquote(tenant), roots)
        if re.search(r"/odata\b", path, re.IGNORECASE):
            message = (
                f"The setting url ({url}) is no address of the DAC interface: give the site alone, "
                "such as https://company.acumatica.com."
            )
            raise SettingsError(message)
        return cls(origin + path.rstrip("/"), None, (current, older))

    def candidates(self, tenant: str | None) -> tuple[str, ...]:
        """Addresses at which the tenant's service may answer; each ends with a slash."""
        tenant = tenant or self.tenant
        if tenant is None:
            return (f"{self.site}/odatav4/",)
        name = quote(tenant, safe="")
        return tuple(root.format(site=self.site, tenant=name) for root in self.roots)


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
    streamed: bool = False


class Service:
    """The DAC interface of one tenant."""

    def __init__(
        self,
        client: Client,
        address: Address,
        tenant: str | None,
        limits: QueryLimits = QueryLimits(),
    ) -> None:
        self.client = client
        self.tenant = tenant or address.tenant
        self._site = address.site
        self._candidates = address.candidates(tenant)
        self._limits = limits
        self._root: str | None = None
        self._finding = threading.Lock()

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Content]
    ) -> Reply[Content]:
        """Ask for rows.

        Raises:
            RequestFailed: As `Client.get`.
            InconsistentAnswer: A nextLink leads out of this service, or other content came.
        """
        return self._ask(_Question(lambda root: self._url(root, query), subject, decode))

    def metadata(self) -> metadata.Model:
        """The service's `$metadata`. XML is asked for: for JSON the server answers 500.

        Raises:
            RequestFailed: As `Client.get`.
            DiscoveryError: There is no such service or tenant.
        """
        question = _Question(
            lambda root: root + "$metadata",
            "$metadata",
            metadata.parse,
            accept="application/xml",
            streamed=True,
        )
        try:
            return self._ask(question).content
        except RequestFailed as failed:
            if failed.cause != "not found":
                raise
            tenant = f"the tenant {self.tenant!r}" if self.tenant else "no tenant named"
            message = (
                f"Acumatica has no OData service at {self._site} for {tenant} (404): check the "
                "setting url and the tenant's login name in it or in tenants."
            )
            raise DiscoveryError(message) from failed

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
        return root + quote(query.entity_set, safe="") + ("?" + text if text else "")

    def _ask(self, question: _Question[Content]) -> Reply[Content]:
        if self._root is None:
            with self._finding:
                return self._find(question)
        return self._ask_at(self._root, question)

    def _find(self, question: _Question[Content]) -> Reply[Content]:
        """Ask at each address in turn; the first that does not answer 404 is the service's."""
        *others, last = (self._root,) if self._root else self._candidates
        for root in others:
            try:
                reply = self._ask_at(root, question)
            except RequestFailed as failed:
                if failed.cause != "not found":
                    raise
            else:
                self._root = root
                return reply
        reply = self._ask_at(last, question)
        self._root = last
        return reply

    def _ask_at(self, root: str, question: _Question[Content]) -> Reply[Content]:
        # Wherever the service is, it is the same tenant, and has the same sessions.
        owner = self._candidates[0]
        request = Request(question.url(root), question.subject, owner, question.accept)
        send = self.client.get_stream if question.streamed else self.client.get
        return send(request, question.decode)


def _below(url: str, root: str) -> bool:
    """Whether an address is one of the service's own: same origin, and below its root."""
    place, base = urlsplit(url), urlsplit(root)
    path, above = unquote(place.path).lower(), unquote(base.path).lower()
    return (
        (place.scheme, place.netloc.lower()) == (base.scheme, base.netloc.lower())
        and path.startswith(above)
        and path != above
        and ".." not in path.split("/")
    )
