"""Parses the setting `url`, and lists the addresses at which a tenant's services may answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.urls import origin

if TYPE_CHECKING:
    from collections.abc import Mapping

DAC: Final = "dac"
INQUIRY: Final = "gi"
INTERFACES: Final[Mapping[str, str]] = {DAC: "data access classes", INQUIRY: "generic inquiries"}
"""The OData interfaces of an instance, with the names that messages use for them."""


@dataclass(frozen=True, slots=True)
class EndpointForm:
    """A form of URL under which an interface may answer.

    Attributes:
        protocol: The OData version expected there; the service's metadata decide.
        path: The path below the site, a format string for the tenant.
        pattern: Matches the path of such an address in the setting `url`.
        without_tenant: The path if no tenant is named; None if the form requires a tenant.
    """

    interface: str
    protocol: ODataVersion
    path: str
    pattern: re.Pattern[str]
    without_tenant: str | None = None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(f"(?P<site>.*(?<!/api)){text}", re.IGNORECASE)


ENDPOINT_FORMS: Final = (
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
"""The known forms, those of current releases first."""

TENANT_PATH: Final = re.compile(r"(?P<site>.*)/t/(?P<tenant>[^/]+)", re.IGNORECASE)
"""Matches the path of an address that names a tenant but no interface."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parsed setting `url`.

    Attributes:
        site: Scheme, host and virtual directory, without a trailing slash.
        tenant: The tenant's login name in the address, or None.
        forms: The forms of URL under which services may answer.
    """

    site: str
    tenant: str | None
    forms: tuple[EndpointForm, ...] = ENDPOINT_FORMS

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse any of the forms in which users have the address.

        Raises:
            SettingsError: The address has a query, or leads to something below a service.
        """
        parts = urlsplit(url.strip())
        if parts.query or parts.fragment:
            message = (
                f"The setting url ({url}) is the address of a page: give only the site, such as "
                "https://company.acumatica.com."
            )
            raise SettingsError(message)
        path = re.sub(r"(/\$metadata)?/*$", "", parts.path)
        origin = f"{parts.scheme}://{parts.netloc}"
        for form in ENDPOINT_FORMS:
            if match := form.pattern.fullmatch(path):
                tenant = match["tenant"]
                return cls(origin + match["site"], tenant and unquote(tenant), (form,))
        if match := TENANT_PATH.fullmatch(path):
            return cls(origin + match["site"], unquote(match["tenant"]))
        if re.search(r"/odata\b", path, re.IGNORECASE):
            message = (
                f"The setting url ({url}) is not the address of an OData service: give only the "
                "site, such as https://company.acumatica.com."
            )
            raise SettingsError(message)
        return cls(origin + path.rstrip("/"), None)

    @property
    def site_name(self) -> str:
        """The site as its users tell it from others: host, unusual port and virtual directory."""
        return f"{origin(self.site)[1]}{unquote(urlsplit(self.site).path)}".lower()

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces that the address leads to: only one if it is a full address."""
        return tuple(dict.fromkeys(form.interface for form in self.forms))

    def candidates(
        self, tenant: str | None, interface: str = DAC, protocol: ODataVersion | None = None
    ) -> tuple[str, ...]:
        """Return the addresses at which the tenant's service may answer; each ends with a slash.

        Args:
            tenant: The tenant's login name, or None for the one in the address.
            interface: One of INTERFACES.
            protocol: The preferred OData version; addresses expected to speak it come first.
        """
        tenant = tenant or self.tenant
        forms = [form for form in self.forms if form.interface == interface]
        forms.sort(key=lambda form: protocol not in {None, form.protocol})
        paths = (
            form.without_tenant if tenant is None else form.path.format(tenant=_segment(tenant))
            for form in forms
        )
        return tuple(self.site + path for path in paths if path)


def _segment(tenant: str) -> str:
    return quote(tenant, safe="")
