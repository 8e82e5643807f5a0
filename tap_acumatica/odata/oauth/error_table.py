"""What the identity server can answer to a request for a token, as a table like that of errors.py.

Of such an answer only the code of the error is shown: the rest can repeat what was sent. By the
code alone a dead refresh token is not told from a wrong setting, hence the status decides
(docs/acumatica.md, "OAuth").
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
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
    status_of,
    timed_out,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.http.answer import RawResponse


def _coded(*codes: str) -> Callable[[RawResponse], bool]:
    return lambda answer: answer.error in codes


def _proved(credential: Credential) -> Callable[[RawResponse], bool]:
    return lambda answer: answer.credential is credential


def _no_token(answer: RawResponse) -> bool:
    try:
        content = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    return not isinstance(content, dict) or not isinstance(content.get("access_token"), str)


def _at_limit(answer: RawResponse) -> bool:
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS or "api login limit" in (
        answer.message.lower()
    )


TOKEN_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        Cause.NO_TOKEN_IN_TIME,
        Action.RETRY,
        "Acumatica's identity server did not answer in time, also when asked again: raise timeout, "
        "or try later.",
        exception=(requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError),
        test=lambda answer: timed_out(answer.exception),
    ),
    *(rule for rule in RULES if rule.exception and rule.cause is not Cause.READ_TIMEOUT),
    Rule(
        Cause.ACCOUNT_LOCKED_AT_SIGN_IN,
        Action.STOP,
        "Acumatica gave no access token ({status}), since the account is locked out: unlock it on "
        "Users (SM201010), then try again.",
        statuses=ERRORS,
        pattern=words(r"locked out|account is locked"),
    ),
    Rule(
        Cause.API_LOGIN_LIMIT_AT_SIGN_IN,
        Action.RETRY,
        "Acumatica gave no access token ({status}), since its licence allows no more sessions or "
        "requests, also after waiting: sign out other integrations, wait an hour, or ask for more "
        "API users.",
        statuses=ERRORS,
        test=_at_limit,
    ),
    Rule(
        Cause.IDENTITY_SERVER_ERROR,
        Action.RETRY,
        "Acumatica's identity server failed ({status}), also when asked again: try later, and see "
        "the trace log of the instance if it stays.",
        statuses=(*REST_OF_5XX, *status_of(408)),
    ),
    Rule(
        Cause.NO_IDENTITY_SERVER,
        Action.STOP,
        "Acumatica's identity server is not at the address for tokens ({status}): check the "
        "settings url and access_token_url.",
        statuses=(*REDIRECTS, *status_of(404, 405)),
    ),
    Rule(
        Cause.APPLICATION_REFUSED,
        Action.STOP,
        "Acumatica refused the connected application ({status}, {error}): compare client_id, "
        "client_secret and the flow with Connected Applications (SM303010).",
        statuses=REST_OF_4XX,
        test=_coded("invalid_client", "unauthorized_client", "unsupported_grant_type"),
    ),
    Rule(
        Cause.SCOPE_REFUSED,
        Action.STOP,
        "Acumatica refused the setting scope ({status}, {error}): compare it with Connected "
        "Applications (SM303010), and leave offline_access out where no refresh tokens are given.",
        statuses=REST_OF_4XX,
        test=_coded("invalid_scope"),
    ),
    Rule(
        Cause.REFRESH_TOKEN_REFUSED,
        Action.STOP,
        "Acumatica refused the refresh token ({status}, {error}): run `tap-acumatica login` to "
        "sign in again.",
        statuses=REST_OF_4XX,
        test=_proved(Credential.REFRESH_TOKEN),
    ),
    Rule(
        Cause.CODE_REFUSED,
        Action.STOP,
        "Acumatica refused the code that its sign-in page gave ({status}, {error}): run "
        "`tap-acumatica login` again.",
        statuses=REST_OF_4XX,
        test=_proved(Credential.CODE),
    ),
    Rule(
        Cause.PASSWORD_REFUSED,
        Action.STOP,
        "Acumatica gave no access token for the password ({status}, {error}): check username, "
        "password and the tenant in client_id. It was sent once, since accounts lock.",
        statuses=REST_OF_4XX,
    ),
    Rule(
        Cause.NO_TOKEN_IN_THE_ANSWER,
        Action.STOP,
        "The answer to the request for an access token holds none ({status}): check the settings "
        "url and access_token_url.",
        test=_no_token,
    ),
)
