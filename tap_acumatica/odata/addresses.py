"""Addresses: from the setting `url` to where a tenant's services may answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


DAC: Final = "dac"


INQUIRY: Final = "gi"


INTERFACES: Final[Mapping[str, str]] = {DAC: "data access classes", INQUIRY: "generic inquiries"}
"""What an instance may expose, and what each is called."""


@dataclass(frozen=True, slots=True)
class EndpointForm:
    """A form of address under which an interface may answer.

    Attributes:
        protocol: The version that is spoken there as far as is known; its metadata have the word.
        path: Below the site, to be formatted with the tenant.
        pattern: Of the path of an address that a user gives.
        without_tenant: The path where no tenant is named; None where one has to be.
    """

    interface: str
    protocol: ODataVersion
    path: str
    pattern: re.Pattern[str]
    without_tenant: str | None = None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(f"(?P<site>.*(?<!/api)){text}", re.IGNORECASE)


FAMILIES: Final = (
    EndpointForm(
        DAC,
        ODataVersion.V4,
        "/t/{tenant}/api/odata/dac/",
        _pattern(r"/t/(?P<tenant>[^/]+)/api/odata/dac"),
    ),
    EndpointForm(
        DAC,
        ODataVersion.V4,
        "/odatav4/{tenant}/",
        _pattern(r"/odatav4(?:/(?P<tenant>[^/]+))?"),
        "/odatav4/",
    ),
    EndpointForm(
        INQUIRY,
        ODataVersion.V4,
        "/t/{tenant}/api/odata/gi/",
        _pattern(r"/t/(?P<tenant>[^/]+)/api/odata/gi"),
    ),
    EndpointForm(
        INQUIRY,
        ODataVersion.V3,
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
    families: tuple[EndpointForm, ...] = FAMILIES

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
        self, tenant: str | None, interface: str = DAC, protocol: ODataVersion | None = None
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
