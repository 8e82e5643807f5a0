"""The accounts that sign in with OAuth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.odata.log import logger
from tap_acumatica.odata.oauth.account import InitialGrant, OAuth, Password
from tap_acumatica.odata.oauth.identity_server import Addresses, Application, IdentityServer
from tap_acumatica.odata.oauth.tokens import FileTokenStore, MemoryTokenStore, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_acumatica.odata.http.auth import Auth
    from tap_acumatica.odata.http.client import ClientSettings
    from tap_acumatica.odata.oauth.tokens import TokenStore
    from tap_acumatica.settings.accounts import AccountSettings


def oauth_accounts(
    settings: AccountSettings, client: ClientSettings, tenants: Sequence[str | None]
) -> dict[str | None, Auth]:
    """Return the account of each tenant."""
    if client.pool.size > 1 and "api:concurrent_access" not in settings.scope.split():
        logger.warning(
            "max_pool_size is %d, but without api:concurrent_access in scope Acumatica serves one "
            "request at a time: add it to scope, and sign in again.",
            client.pool.size,
        )
    username, password = settings.username, settings.password
    grant = InitialGrant(
        settings.refresh_token, Password(username, password) if username and password else None
    )
    by_tenant: dict[str | None, Auth] = {}
    for tenant, name in zip(tenants, settings.tenants, strict=True):
        server = identity_server(settings, client, name)
        by_tenant[tenant] = OAuth(server, grant, token_store(settings, client, server))
    return by_tenant


def identity_server(
    settings: AccountSettings, client: ClientSettings, tenant: str
) -> IdentityServer:
    """Return the site's identity server, as seen by the application of one tenant."""
    return IdentityServer(
        settings.site,
        Application(settings.client_id_for(tenant), settings.client_secret or "", settings.scope),
        client,
        Addresses(settings.authorization_url, settings.access_token_url),
    )


def token_store(
    settings: AccountSettings, client: ClientSettings, server: IdentityServer
) -> TokenStore:
    """Return the store for the tokens of one tenant.

    A new refresh token or user name in the settings takes precedence over a stored token that was
    obtained with another one.
    """
    if settings.token_file is None:
        return MemoryTokenStore()
    credential = settings.refresh_token or settings.username
    return FileTokenStore(
        settings.token_file,
        f"{settings.site} {server.application.client_id}".lower(),
        fingerprint(credential) if credential else None,
        client.timeout + client.max_retry_time,
    )
