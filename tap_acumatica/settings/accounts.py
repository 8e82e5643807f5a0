"""The settings of the sign-in, and what can be wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tap_acumatica.odata.addresses import Address
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.urls import may_carry_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


BASIC: Final = ("username", "password")
OAUTH: Final = ("client_id", "client_secret")


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Who signs in, and where.

    An application belongs to one tenant, which stands in its client id (docs/acumatica.md,
    "OAuth").

    Attributes:
        site: Scheme, host and virtual directory of the instance.
        tenants: Login names of the tenants to sign in to; empty where nothing names one.
        by_oauth: Whether access tokens are used, not the password with each request.
        token_file: Where tokens outlive a run, or None.
    """

    site: str
    tenants: Sequence[str] = ()
    by_oauth: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scope: str = ""
    refresh_token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    authorization_url: str | None = None
    access_token_url: str | None = None
    callback_url: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, Any], address: Address) -> AccountSettings:
        """Take them out of the checked settings, and out of the setting `url`."""
        names = {each.name for each in fields(cls)} & settings.keys()
        file = settings.get("token_file")
        return cls(
            **{name: settings[name] for name in names - {"tenants", "token_file"}},
            site=address.site,
            tenants=tenants(settings, address),
            by_oauth=settings["auth_method"] == "oauth",
            token_file=Path(file).expanduser() if file else None,
        )

    @property
    def name(self) -> str:
        """The account as a person or a cache knows it."""
        return self.username or self.client_id or ""

    def client_id_for(self, tenant: str) -> str:
        """The client id of the application of a tenant: `<GUID>@<Tenant>`."""
        client_id = self.client_id or ""
        return client_id if _tenant_in(client_id) else f"{client_id}@{tenant}"


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
        wanted = tenants(settings, Address.parse(settings["url"]))
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


def tenants(settings: Mapping[str, Any], address: Address) -> Sequence[str]:
    """The tenants to sign in to, by the address or tenants; else that of the client id."""
    named = settings.get("tenants") or [address.tenant]
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


def _is_usable(address: str) -> bool:
    """Whether an address can be reached, and nobody on the way reads along."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0 and may_carry_secrets(address)
    except ValueError:
        return False


def _tenant_in(client_id: str) -> str | None:
    return client_id.partition("@")[2] or None
