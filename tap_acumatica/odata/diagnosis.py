"""Why a tenant's service does not answer: what else the site says decides.

Facts: docs/acumatica.md, "URL shapes and versions" and "Status codes".
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from tap_acumatica.odata.errors import Cause, DiscoveryError
from tap_acumatica.odata.http.client import Request

if TYPE_CHECKING:
    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.http.client import Client

WITHOUT_RIGHTS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class NoService(DiscoveryError):  # noqa: N818 - what the server lacks, not what we did
    """A site or tenant without the service that is asked for.

    Attributes:
        cause: Which of the reasons it is.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Root:
    """What the root of the REST interface, `<site>/entity`, tells.

    Attributes:
        acumatica: Whether it is Acumatica that answers, be it with a refusal.
        release: The build, where it is told.
    """

    acumatica: bool
    release: str | None = None


def look_at_root(client: Client, site: str, owner: str) -> Root:
    """Ask for it, once; an account without rights to REST is refused, and nothing is lost."""
    answer = client.get_once(Request(f"{site}/entity", "the release", owner))
    if answer.exception is None and answer.status in WITHOUT_RIGHTS:
        return Root(acumatica=not answer.is_page)
    if answer.status != HTTPStatus.OK:
        return Root(acumatica=False)
    try:
        content = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Root(acumatica=False)
    if isinstance(content, list):
        return Root(acumatica=True)
    known = isinstance(content, dict) and "endpoints" in content
    version = content.get("version") if known else None
    build = version.get("acumaticaBuildVersion") if isinstance(version, dict) else None
    return Root(acumatica=known, release=build if isinstance(build, str) else None)


def no_rights(interface: str) -> NoService:
    """The interface is there, but not for this account."""
    message = (
        f"The account may not use Acumatica's OData interface of {interface} (403): give it the "
        "role OData4 User on User Roles (SM201005). By OAuth the setting scope must hold api, too."
    )
    return NoService(Cause.ROLE_MISSING, message)


def not_found(
    failed: RequestFailed, client: Client, site: str, owner: str, unknown_tenant: NoService
) -> NoService:
    """Nothing answers at the addresses of a tenant's service."""
    if not failed.is_page:
        # The application itself answered: the interface is there, the tenant is not.
        return unknown_tenant
    if look_at_root(client, site, owner).acumatica:
        message = (
            f"Acumatica at {site} serves no OData (404, the web server's own page): have an "
            "administrator switch the OData interface on."
        )
        return NoService(Cause.ODATA_SWITCHED_OFF, message)
    message = (
        f"No Acumatica answers at {site} (404): check that the setting url is the address of "
        "an Acumatica site, with its virtual directory."
    )
    return NoService(Cause.NOT_AN_ACUMATICA_SITE, message)
