"""The account that signs in to each tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.masking import masking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_acumatica.odata.http.auth import Auth
    from tap_acumatica.odata.http.client import ClientSettings
    from tap_acumatica.settings.accounts import AccountSettings


def accounts(
    settings: AccountSettings, client: ClientSettings, tenants: Sequence[str | None]
) -> dict[str | None, Auth]:
    """Return the account of each tenant; with basic authentication they all share one."""
    if not settings.by_oauth:
        basic = BasicAuth(settings.username or "", settings.password or "")
        masking.add(basic.secrets)
        return dict.fromkeys(tenants, basic)
    # Imported on demand: Authlib takes a while to load.
    from tap_acumatica.run.oauth_accounts import oauth_accounts  # noqa: PLC0415

    return oauth_accounts(settings, client, tenants)
