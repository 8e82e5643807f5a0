"""Finds out why a tenant's service does not answer, with one more request to the site.

Facts: docs/acumatica.md, "URL shapes and versions" and "Status codes".
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from tap_acumatica.odata.errors import Action, Cause, DiscoveryError, RequestFailed
from tap_acumatica.odata.http.answer import json_in
from tap_acumatica.odata.http.client import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.http.client import Client

Content = TypeVar("Content")

REFUSED_STATUSES: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class NoService(DiscoveryError):  # noqa: N818 - what the server lacks, not what we did
    """The site or the tenant does not have the requested service.

    Attributes:
        cause: The reason, as a cause that users can look up.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Root:
    """What the root of the REST interface, `<site>/entity`, says about the site.

    Attributes:
        acumatica: Whether Acumatica answers, possibly with a refusal.
        release: The Acumatica build, or None if the response does not name it.
    """

    acumatica: bool
    release: str | None = None


def read_root(client: Client, site: str, owner: str) -> Root:
    """Request the root of the REST interface, once: an account without REST rights is refused."""
    response = client.get_once(Request(f"{site}/entity", "the release", owner))
    if response.exception is None and response.status in REFUSED_STATUSES:
        return Root(acumatica=response.is_own)
    if response.status != HTTPStatus.OK:
        return Root(acumatica=False)
    content = json_in(response.body)
    if isinstance(content, list):
        return Root(acumatica=True)
    acumatica = isinstance(content, dict) and "endpoints" in content
    version = content.get("version") if acumatica else None
    build = version.get("acumaticaBuildVersion") if isinstance(version, dict) else None
    return Root(acumatica=acumatica, release=build if isinstance(build, str) else None)


def no_rights(interface: str) -> NoService:
    """Return the error for an interface that exists, but not for this account."""
    message = (
        f"The account may not use Acumatica's OData interface of {interface} (403): give it the "
        "role OData4 User on User Roles (SM201005). With OAuth, scope must also contain api."
    )
    return NoService(Cause.ROLE_MISSING, message)


def behind_page(
    failed: RequestFailed,
    client: Client,
    site: str,
    owner: str,
    ask_again: Callable[[], Content],
) -> Content:
    """Find out whose web page says that a service does not exist (404), at all of its addresses.

    If Acumatica answers elsewhere, it does not restart now, so that the page means what it says if
    it comes again. If nothing answers, but did before, it may restart.

    Raises:
        RequestFailed: This failure, which may pass, or another one.
        NoService: The site is no Acumatica, or serves no OData.
    """
    if read_root(client, site, owner).acumatica:
        try:
            return ask_again()
        except RequestFailed as again:
            if (again.cause, again.action) != (failed.cause, failed.action):
                raise
        message = (
            f"Acumatica at {site} serves no OData (404, the web server's own page): ask an "
            "administrator to switch the OData interface on."
        )
        raise NoService(Cause.ODATA_SWITCHED_OFF, message) from failed
    if client.succeeded:
        failed.action = Action.RETRY
        raise failed
    message = (
        f"No Acumatica answers at {site} (404): check that the setting url is the address of "
        "an Acumatica site, including its virtual directory."
    )
    raise NoService(Cause.NOT_AN_ACUMATICA_SITE, message) from failed
