"""The settings of the sign-in. accounts.py checks what their schema cannot express."""

from __future__ import annotations

from typing import Final

from singer_sdk import typing as th

ACCOUNT: Final = (
    th.Property(
        "auth_method",
        th.StringType,
        allowed_values=["basic", "oauth"],
        default="basic",
        title="Sign-in",
        description=(
            "basic: user name and password with each request; oauth: access tokens, through a "
            "connected application (SM303010)"
        ),
    ),
    th.Property(
        "username",
        th.StringType(min_length=1),
        title="User name",
        description="Login of the service account, without a tenant suffix",
    ),
    th.Property(
        "password",
        th.StringType(min_length=1),
        secret=True,
        title="Password",
        description="Password of the service account",
    ),
    th.Property(
        "client_id",
        th.StringType(min_length=1),
        title="Client ID",
        description=(
            "Client ID of the connected application: GUID@Tenant, or the GUID alone, to which the "
            "tap adds the tenant that it reads"
        ),
    ),
    th.Property(
        "client_secret",
        th.StringType(min_length=1),
        secret=True,
        title="Client secret",
        description="Shared secret of the connected application",
    ),
    th.Property(
        "scope",
        th.StringType(min_length=1),
        default="api openid offline_access",
        title="Scope",
        description=(
            "Scopes to request at sign-in: api for OData, offline_access for refresh tokens, "
            "api:concurrent_access for a session for each connection"
        ),
    ),
    th.Property(
        "refresh_token",
        th.StringType(min_length=1),
        secret=True,
        title="Refresh token",
        description=(
            "First refresh token, if it was not obtained with tap-acumatica login; those that "
            "follow are kept in token_file"
        ),
    ),
    th.Property(
        "token_file",
        th.StringType(min_length=1),
        title="Token file",
        description=(
            "File in which tap-acumatica login and each renewal store the tokens; runs on one "
            "machine share it"
        ),
    ),
    th.Property(
        "callback_url",
        th.StringType(min_length=1),
        default="http://localhost:8400/callback",
        title="Callback address",
        description=(
            "Redirect URI of the connected application; tap-acumatica login listens on its port"
        ),
    ),
    th.Property(
        "authorization_url",
        th.StringType(min_length=1),
        title="Authorization address",
        description=(
            "Address at which people sign in, if it is not the one that the site announces "
            "(identity/connect/authorize)"
        ),
    ),
    th.Property(
        "access_token_url",
        th.StringType(min_length=1),
        title="Token address",
        description=(
            "Address that issues tokens, if it is not the one that the site announces "
            "(identity/connect/token)"
        ),
    ),
)
