"""The addresses of the OData interfaces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

ENTITY = re.compile(r"/entity/?", re.IGNORECASE)
LOGOUT = re.compile(r"/entity/auth/logout/?", re.IGNORECASE)
CONTROL = re.compile(r"/_control(?:/(.*))?")
TENANT_FORM = re.compile(r"/t/([^/]+)/api/odata/(dac|gi)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
SHORT_FORM = re.compile(r"/(odatav4|odata)(?:/(.*))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Address:
    """An address of an OData interface.

    Attributes:
        root: Path of the service root, without a slash at the end.
        tenant: Login name of the tenant.
        rest: The path below the service root.
        inquiries: Whether the interface serves inquiries, not data access classes.
        version: OData version.
    """

    root: str
    tenant: str
    rest: str
    inquiries: bool = False
    version: int = 4

    @property
    def path(self) -> str:
        """Path below the site's URL."""
        return f"{self.root}/{self.rest}"

    @property
    def kind(self) -> str:
        """Kind of the resource: service document, metadata, count or data."""
        lower = self.rest.lower()
        if lower == "":
            return "service"
        if lower == "$metadata":
            return "metadata"
        return "count" if lower.endswith("/$count") else "data"


def parse_address(path: str, tenants: Sequence[str], families: Collection[str]) -> Address | None:
    """Parse a decoded path below the virtual directory; None for any other path."""
    names = {tenant.lower(): tenant for tenant in tenants}
    if match := TENANT_FORM.fullmatch(path):
        tenant, interface = names.get(match[1].lower()), match[2].lower()
        if tenant is None or f"t/{interface}" not in families:
            return None
        root = f"/t/{quote(tenant)}/api/odata/{interface}"
        return Address(root, tenant, (match[3] or "").rstrip("/"), interface == "gi")
    match = SHORT_FORM.fullmatch(path)
    if match is None or (family := match[1].lower()) not in families:
        return None
    inquiries = family == "odata"
    version = 3 if inquiries else 4
    first, _, rest = (match[2] or "").partition("/")
    if first.lower() in names:
        tenant = names[first.lower()]
        root = f"/{family}/{quote(tenant)}"
        return Address(root, tenant, rest.rstrip("/"), inquiries, version)
    if len(tenants) == 1:
        rest = (match[2] or "").rstrip("/")
        return Address(f"/{family}", tenants[0], rest, inquiries, version)
    return None
