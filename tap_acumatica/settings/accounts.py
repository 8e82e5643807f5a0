"""The settings for the sign-in, and their checks."""

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
    """The account that signs in, and where it signs in.

    An application belongs to one tenant, which its client ID names (docs/acumatica.md,
    "OAuth").

    Attributes:
        site: Scheme, host and virtual directory of the instance.
        tenants: Login names of the tenants to sign in to; empty if no setting names one.
        by_oauth: Whether requests carry an access token instead of the password.
        token_file: File that keeps the tokens between runs, or None.
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
        """Create them from checked settings and the parsed address."""
        names = {attribute.name for attribute in fields(cls)} & settings.keys()
        token_file = settings.get("token_file")
        return cls(
            **{name: settings[name] for name in names - {"tenants", "token_file"}},
            site=address.site,
            tenants=tenants(settings, address),
            by_oauth=settings["auth_method"] == "oauth",
            token_file=home_path(token_file) if token_file else None,
        )

    @property
    def name(self) -> str:
        """The account's name in the metadata cache: the user name or the client ID."""
        return self.username or self.client_id or ""

    def client_id_for(self, tenant: str) -> str:
        """Return the client ID of a tenant's application: `<GUID>@<Tenant>`."""
        client_id = self.client_id or ""
        return client_id if _tenant_in(client_id) else f"{client_id}@{tenant}"


def missing(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the settings that the sign-in requires but that are not set."""
    by_oauth = settings.get("auth_method") == "oauth"
    required: tuple[str, ...] = OAUTH if by_oauth else BASIC
    if by_oauth and settings.get("username") and not settings.get("token_file"):
        required = (*OAUTH, "password")
    return [name for name in required if not settings.get(name)]


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each problem with the settings for OAuth."""
    if settings.get("refresh_token") and not settings.get("token_file"):
        yield (
            "The setting refresh_token needs token_file: each refresh token can be used once, and "
            "the next one must be stored for the next run."
        )
    elif not settings.get("token_file") and not settings.get("username"):
        yield (
            "The setting token_file is missing: name a file for the tokens and run `tap-acumatica "
            "login`, or set username and password."
        )
    for name in ("authorization_url", "access_token_url", "callback_url"):
        address = settings.get(name)
        if address and not _is_usable(address):
            yield (
                f"The setting {name} must be an address that starts with https://, or an address "
                "of this machine, and contain no user name or password."
            )
    try:
        names = tenants(settings, Address.parse(settings["url"]))
    except SettingsError as error:
        yield str(error)
    else:
        yield from _tenant_problems(settings, names)
        if settings.get("refresh_token") and len(names) > 1:
            yield (
                "The setting refresh_token belongs to one tenant, and would become invalid if it "
                f"were used for several ({', '.join(names)}): remove it and run `tap-acumatica "
                "login`, or run the tap once for each tenant."
            )


def home_path(text: str) -> Path:
    """Return a path; one that begins with `~` lies in a home folder, if there is one."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def tenants(settings: Mapping[str, Any], address: Address) -> Sequence[str]:
    """Return the tenants to sign in to: of the settings tenants or url, else of the client ID."""
    names = settings.get("tenants") or [address.tenant]
    by_oauth = settings.get("auth_method") == "oauth"
    client_tenant = _tenant_in(settings.get("client_id") or "") if by_oauth else None
    return [name for name in (*names, *([] if any(names) else [client_tenant])) if name]


def _tenant_problems(settings: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    client_tenant = _tenant_in(settings.get("client_id") or "")
    if not names and settings.get("client_id"):
        yield (
            "The setting client_id names no tenant, and neither do url and tenants: write it as "
            "<GUID>@<Tenant>."
        )
    if client_tenant is None:
        return
    unreachable = [name for name in names if name.lower() != client_tenant.lower()]
    if unreachable and len(names) > 1:
        yield (
            f"The setting client_id belongs to the tenant {client_tenant} and gives access to no "
            f"other ({', '.join(unreachable)}): remove @{client_tenant} from it if the tenants "
            "share the application, or run the tap once for each tenant."
        )
    elif unreachable:
        yield (
            f"The setting client_id belongs to the tenant {client_tenant}, but the tenant to read "
            f"is {unreachable[0]}: set the client_id of an application of that tenant, or correct "
            "url or tenants."
        )


def _is_usable(address: str) -> bool:
    """Whether an address is valid and secrets may be sent to it."""
    try:
        parts = urlsplit(address)
        is_host = bool(parts.hostname) and parts.port != 0 and "@" not in address
        return is_host and may_carry_secrets(address)
    except ValueError:
        return False


def _tenant_in(client_id: str) -> str | None:
    return client_id.partition("@")[2] or None
