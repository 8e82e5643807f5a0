"""Where a request goes."""

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
NEW = re.compile(r"/t/([^/]+)/api/odata/(dac|gi)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
OLD = re.compile(r"/(odatav4|odata)(?:/(.*))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Address:
    """Where a request goes: the root it came by, the tenant, and what stands behind.

    Attributes:
        inquiries: Whether it is the interface of inquiries.
        version: Of OData.
    """

    root: str
    tenant: str
    rest: str
    inquiries: bool = False
    version: int = 4

    @property
    def path(self) -> str:
        """The path below the site."""
        return f"{self.root}/{self.rest}"

    @property
    def kind(self) -> str:
        """What a request asks for."""
        lower = self.rest.lower()
        if lower == "":
            return "service"
        if lower == "$metadata":
            return "metadata"
        return "count" if lower.endswith("/$count") else "data"


def find(path: str, tenants: Sequence[str], families: Collection[str]) -> Address | None:
    """Split a decoded path, without the virtual directory; None if it leads nowhere."""
    known = {each.lower(): each for each in tenants}
    if match := NEW.fullmatch(path):
        tenant, interface = known.get(match[1].lower()), match[2].lower()
        if tenant is None or f"t/{interface}" not in families:
            return None
        root = f"/t/{quote(tenant)}/api/odata/{interface}"
        return Address(root, tenant, (match[3] or "").rstrip("/"), interface == "gi")
    match = OLD.fullmatch(path)
    if match is None or (family := match[1].lower()) not in families:
        return None
    inquiries = family == "odata"
    version = 3 if inquiries else 4
    first, _, rest = (match[2] or "").partition("/")
    if first.lower() in known:
        tenant = known[first.lower()]
        root = f"/{family}/{quote(tenant)}"
        return Address(root, tenant, rest.rstrip("/"), inquiries, version)
    if len(tenants) == 1:
        rest = (match[2] or "").rstrip("/")
        return Address(f"/{family}", tenants[0], rest, inquiries, version)
    return None
