"""The error table of token requests, with the same columns as odata/http/error_table.py.

Messages show only the error code of a response, since its other fields can repeat what was sent.
An invalid refresh token is not always reported as `invalid_grant`, hence the status decides
(docs/acumatica.md, "OAuth").
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import requests

from tap_acumatica.odata.errors import Action, Cause
from tap_acumatica.odata.http.answer import Credential
from tap_acumatica.odata.http.error_table import (
    ERRORS,
    REDIRECTS,
    REST_OF_4XX,
    REST_OF_5XX,
    RULES,
    Rule,
    any_case,
    at_login_limit,
    exactly,
    timed_out,
)
from tap_acumatica.odata.oauth.tokens import token_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.http.answer import RawResponse


def _oauth_error(*codes: str) -> Callable[[RawResponse], bool]:
    return lambda response: response.oauth_error in codes


def _sent(credential: Credential) -> Callable[[RawResponse], bool]:
    return lambda response: response.credential is credential


def _no_token(response: RawResponse) -> bool:
    return not token_fields(response.body)


def _at_limit(response: RawResponse) -> bool:
    return response.status == HTTPStatus.TOO_MANY_REQUESTS or at_login_limit(response)


PAGES_ON_THE_WAY: Final = (*exactly(402, 403), range(406, 500))
"""Statuses with which a web page says nothing about credentials or addresses."""

IDENTITY_SERVER_ERROR: Final = (
    Cause.IDENTITY_SERVER_ERROR,
    Action.RETRY,
    (
        "Acumatica's identity server failed ({status}), even after retries: try later; if the "
        "error persists, see the instance's trace log."
    ),
)

TOKEN_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        Cause.NO_TOKEN_IN_TIME,
        Action.RETRY,
        "Acumatica's identity server did not answer in time, even after retries: raise timeout, or "
        "try later.",
        exception=(requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError),
        test=lambda response: timed_out(response.exception),
    ),
    *(rule for rule in RULES if rule.exception and rule.cause is not Cause.READ_TIMEOUT),
    Rule(
        Cause.ACCOUNT_LOCKED_AT_SIGN_IN,
        Action.STOP,
        "Acumatica issued no access token ({status}), since the account is locked out: unlock it "
        "on Users (SM201010), then try again.",
        statuses=ERRORS,
        pattern=any_case(r"locked out|account is locked"),
    ),
    Rule(
        Cause.API_LOGIN_LIMIT_AT_SIGN_IN,
        Action.RETRY,
        "Acumatica issued no access token ({status}), since its licence allows no more sessions or "
        "requests, or none of this user, even after waiting: sign out other integrations, wait an "
        "hour, raise Max. Number of Concurrent API Logins of the user on Users (SM201010), which "
        "is 1 unless set, or ask for more API users.",
        test=_at_limit,
    ),
    Rule(
        *IDENTITY_SERVER_ERROR,
        statuses=(*REST_OF_5XX, *exactly(408)),
    ),
    Rule(
        *IDENTITY_SERVER_ERROR,
        statuses=REST_OF_4XX,
        test=_oauth_error("temporarily_unavailable", "server_error"),
    ),
    Rule(
        Cause.TOKEN_REQUEST_BLOCKED,
        Action.RETRY,
        "A web page came instead of an access token ({status}), even after retries: try later; if "
        "the error persists, check what stands between this machine and the site.",
        statuses=PAGES_ON_THE_WAY,
        test=lambda response: response.is_page,
    ),
    Rule(
        Cause.NO_IDENTITY_SERVER,
        Action.STOP,
        "Acumatica's identity server was not found at the token endpoint ({status}): check the "
        "settings url and access_token_url.",
        statuses=(*REDIRECTS, *exactly(404, 405)),
    ),
    Rule(
        Cause.APPLICATION_REFUSED,
        Action.STOP,
        "Acumatica refused the connected application ({status}, {error}): compare client_id, "
        "client_secret and the flow with Connected Applications (SM303010).",
        statuses=REST_OF_4XX,
        test=_oauth_error("invalid_client", "unauthorized_client", "unsupported_grant_type"),
    ),
    Rule(
        Cause.SCOPE_REFUSED,
        Action.STOP,
        "Acumatica refused the setting scope ({status}, {error}): compare it with Connected "
        "Applications (SM303010), and leave offline_access out if the application issues no "
        "refresh tokens.",
        statuses=REST_OF_4XX,
        test=_oauth_error("invalid_scope"),
    ),
    Rule(
        Cause.REFRESH_TOKEN_REFUSED,
        Action.STOP,
        "Acumatica refused the refresh token ({status}, {error}): run `tap-acumatica login` to "
        "sign in again.",
        statuses=REST_OF_4XX,
        test=_sent(Credential.REFRESH_TOKEN),
    ),
    Rule(
        Cause.CODE_REFUSED,
        Action.STOP,
        "Acumatica refused the code from its sign-in page ({status}, {error}): run "
        "`tap-acumatica login` again.",
        statuses=REST_OF_4XX,
        test=_sent(Credential.CODE),
    ),
    Rule(
        Cause.PASSWORD_REFUSED,
        Action.STOP,
        "Acumatica issued no access token for the password ({status}, {error}): check username, "
        "password and the tenant in client_id, and in Acumatica that no change of the password is "
        "pending, that the user belongs to the tenant and that it has a right to the API. The "
        "password was sent only once, since repeated failures lock accounts.",
        statuses=REST_OF_4XX,
    ),
    Rule(
        Cause.NO_TOKEN_IN_THE_ANSWER,
        Action.STOP,
        "The response to the token request contains no access token ({status}): check the settings "
        "url and access_token_url.",
        test=_no_token,
    ),
)
