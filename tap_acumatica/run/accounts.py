"""Who signs in: settings -> the account of each tenant.

An application belongs to one tenant, which stands in its client id (docs/acumatica.md, "OAuth").
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tap_acumatica.odata.addresses import Address
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.odata.oauth.tokens import FileTokenStore, MemoryTokenStore, fingerprint
from tap_acumatica.odata.urls import may_carry_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_acumatica.odata.http.auth import Auth
    from tap_acumatica.odata.http.client import ClientSettings
    from tap_acumatica.odata.oauth.identity_server import IdentityServer
    from tap_acumatica.odata.oauth.tokens import TokenStore

BASIC: Final = ("username", "password")
OAUTH: Final = ("client_id", "client_secret")


def missing(settings: Mapping[str, Any]) -> list[str]:
    """Settings without which nobody can sign in."""
    by_oauth = settings.get("auth_method") == "oauth"
    needed: tuple[str, ...] = OAUTH if by_oauth else BASIC
    if by_oauth and settings.get("username") and not settings.get("token_file"):
        needed = (*OAUTH, "password")
    return [name for name in needed if not settings.get(name)]


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with settings for OAuth, a sentence each."""
    if settings.get("refresh_token") and not settings.get("token_file"):
        yield (
            "The setting refresh_token needs token_file: a refresh token counts once, and the one "
            "that follows it must be kept for the next run."
        )
    elif not settings.get("token_file") and not settings.get("username"):
        yield (
            "The setting token_file is missing: name a file for the tokens and run `tap-acumatica "
            "login`, or give username and password."
        )
    for name in ("authorization_url", "access_token_url", "callback_url"):
        address = settings.get(name)
        if address and not _is_usable(address):
            yield (
                f"The setting {name} must be an address that starts with https://, or that of this "
                f"machine (found {address!r})."
            )
    try:
        wanted = tenants(settings)
    except SettingsError as error:
        yield str(error)
    else:
        yield from _about_tenants(settings, wanted)
        if settings.get("refresh_token") and len(wanted) > 1:
            yield (
                "The setting refresh_token is of one tenant, and would end if others sent it too "
                f"({', '.join(wanted)}): leave it out and run `tap-acumatica login`, or run the "
                "tap once for each tenant."
            )


def tenants(settings: Mapping[str, Any]) -> Sequence[str]:
    """The tenants to sign in to, by the address or tenants; else that of the client id."""
    named = settings.get("tenants") or [Address.parse(settings["url"]).tenant]
    by_oauth = settings.get("auth_method") == "oauth"
    own = _tenant_in(settings.get("client_id") or "") if by_oauth else None
    return [name for name in (*named, *([] if any(named) else [own])) if name]


def _about_tenants(settings: Mapping[str, Any], wanted: Sequence[str]) -> Iterator[str]:
    own = _tenant_in(settings.get("client_id") or "")
    if not wanted and settings.get("client_id"):
        yield (
            "The setting client_id names no tenant, nor does url or tenants: give it as "
            "<GUID>@<Tenant>."
        )
    if own is None:
        return
    others = [tenant for tenant in wanted if tenant.lower() != own.lower()]
    if others and len(wanted) > 1:
        yield (
            f"The setting client_id is that of the tenant {own} and reaches no other "
            f"({', '.join(others)}): give it without @{own} where the tenants share it, else run "
            "the tap once for each."
        )
    elif others:
        yield (
            f"The setting client_id is that of the tenant {own}, but {others[0]} is to be read: "
            "give the client_id of an application of that tenant, or correct url or tenants."
        )


def accounts(
    settings: Mapping[str, Any], how: ClientSettings, wanted: Sequence[str | None]
) -> dict[str | None, Auth]:
    """The account of each tenant that is read; by Basic it is the same for all."""
    if settings["auth_method"] == "basic":
        basic = BasicAuth(settings["username"], settings["password"])
        masking.add(basic.secrets)
        return dict.fromkeys(wanted, basic)
    # Only where it is needed: Authlib takes its time.
    from tap_acumatica.odata.oauth.account import InitialGrant, OAuth, Password  # noqa: PLC0415

    names = settings["scope"].split()
    if how.pool.size > 1 and "api:concurrent_access" not in names:
        logger.warning(
            "max_pool_size is %d, but without api:concurrent_access in scope Acumatica serves one "
            "request at a time.",
            how.pool.size,
        )
    username, password = settings.get("username"), settings.get("password")
    begin = InitialGrant(
        settings.get("refresh_token"),
        Password(username, password) if username and password else None,
    )
    found: dict[str | None, Auth] = {}
    for tenant, name in zip(wanted, tenants(settings), strict=True):
        server = identity_server(settings, how, name)
        found[tenant] = OAuth(server, begin, token_store(settings, how, server))
    return found


def identity_server(
    settings: Mapping[str, Any], how: ClientSettings, tenant: str
) -> IdentityServer:
    """The identity server of the site, for the application of one tenant."""
    from tap_acumatica.odata.oauth.identity_server import (  # noqa: PLC0415 - as above
        Addresses,
        Application,
        IdentityServer,
    )

    client_id = settings["client_id"]
    if _tenant_in(client_id) is None:
        client_id = f"{client_id}@{tenant}"
    return IdentityServer(
        Address.parse(settings["url"]).site,
        Application(client_id, settings["client_secret"], settings["scope"]),
        how,
        Addresses(settings.get("authorization_url"), settings.get("access_token_url")),
    )


def token_store(
    settings: Mapping[str, Any], how: ClientSettings, server: IdentityServer
) -> TokenStore:
    """Where the tokens of one tenant are kept.

    Before a token in the file the setting counts that it did not begin with: a new refresh token,
    or the name of another user.
    """
    if not settings.get("token_file"):
        return MemoryTokenStore()
    began_with = settings.get("refresh_token") or settings.get("username")
    site = Address.parse(settings["url"]).site
    return FileTokenStore(
        Path(settings["token_file"]).expanduser(),
        f"{site} {server.application.client_id}".lower(),
        fingerprint(began_with) if began_with else None,
        how.timeout + how.max_retry_time,
    )


def _is_usable(address: str) -> bool:
    """Whether an address can be reached, and nobody on the way reads along."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0 and may_carry_secrets(address)
    except ValueError:
        return False


def _tenant_in(client_id: str) -> str | None:
    return client_id.partition("@")[2] or None
