"""What can come back from the server, as a table: cause -> what is done -> what the user reads.

The facts behind each rule are in docs/acumatica.md, sections "Status codes" and "Error bodies".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import requests

from tap_acumatica.odata.errors import Action, BrokenPayload, Cause, RequestFailed
from tap_acumatica.odata.http.answer import Credential, retry_after, shortened
from tap_acumatica.odata.log import masking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_acumatica.odata.http.answer import RawResponse


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table; `statuses` and `pattern` both have to fit, `test` as well."""

    cause: Cause
    action: Action
    sentence: str
    statuses: tuple[range, ...] = ()
    pattern: re.Pattern[str] | None = None
    exception: type[Exception] | tuple[type[Exception], ...] | None = None
    test: Callable[[RawResponse], bool] | None = None

    def fits(self, answer: RawResponse) -> bool:
        """Whether this row is about that answer."""
        if (answer.exception is None) != (self.exception is None):
            return False
        if self.exception and not isinstance(answer.exception, self.exception):
            return False
        if self.statuses and not any(answer.status in statuses for statuses in self.statuses):
            return False
        if self.pattern and not self.pattern.search(answer.message):
            return False
        return self.test is None or self.test(answer)


def status_of(*codes: int) -> tuple[range, ...]:
    """These statuses, for a rule."""
    return tuple(range(code, code + 1) for code in codes)


def words(pattern: str) -> re.Pattern[str]:
    """Words of the server, for a rule."""
    return re.compile(pattern, re.IGNORECASE)


def _maintained(answer: RawResponse) -> bool:
    """Whether the site says that it is being worked on, in whatever way."""
    words = answer.headers.get("Location", "") if answer.status in REDIRECTS[0] else ""
    if answer.is_page:
        words = answer.message
    return answer.status == HTTPStatus.SERVICE_UNAVAILABLE or "maintenance" in words.lower()


def _name_unknown(answer: RawResponse) -> bool:
    return answer.first and "resolve" in str(answer.exception).lower()


def _without_bundle(answer: RawResponse) -> bool:
    """Whether a file is missing that the environment names; requests has no type for it."""
    return "TLS CA certificate bundle" in str(answer.exception)


def timed_out(error: Exception | None) -> bool:
    """Before the headers came, or after them: requests has a type for the first only."""
    return isinstance(error, requests.exceptions.ReadTimeout) or "Read timed out" in str(error)


def _never_works(answer: RawResponse) -> bool:
    """Whether it is the settings' fault: under way TLS can also fail as a connection does."""
    return answer.first or "certificate" in str(answer.exception).lower()


def _without_url(error: Exception) -> str:
    """What happened, without an address so long that nothing else would be left."""
    return re.sub(r" with url: \S+", "", str(error))


REFUSED: Final = status_of(400, 500, 501)
ERRORS: Final = (range(400, 600),)
REDIRECTS: Final = (range(300, 400),)
REST_OF_4XX: Final = (range(400, 500),)
REST_OF_5XX: Final = (range(500, 600),)

TOO_LONG: Final = (
    Cause.QUERY_TOO_LONG,
    Action.STOP,
    "The server refused the length of the address for {subject} ({status}): lower max_url_length.",
)
QUERY_REFUSED: Final = (
    Cause.QUERY_REFUSED,
    Action.REPHRASE,
    (
        "Acumatica refused the query for {subject} ({status}: {detail}): please report it with the "
        "request in the log."
    ),
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        Cause.READ_TIMEOUT,
        Action.SHRINK,
        "Acumatica did not answer for {subject} in time, also when asked again: raise timeout.",
        exception=(requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError),
        test=lambda answer: timed_out(answer.exception),
    ),
    Rule(
        Cause.TLS_FAILURE,
        Action.STOP,
        "No secure connection for {subject} ({detail}): check the setting url, and if the "
        "certificate was not accepted, set ca_bundle to the certificates of your certificate "
        "authority.",
        exception=requests.exceptions.SSLError,
        test=_never_works,
    ),
    Rule(
        Cause.NO_CERTIFICATES,
        Action.STOP,
        "The certificates to tell the server by were not found for {subject} ({detail}): set "
        "ca_bundle, or correct the environment variables REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.",
        exception=OSError,
        test=_without_bundle,
    ),
    Rule(
        Cause.PROXY,
        Action.STOP,
        "The proxy made no connection for {subject} ({detail}): check the environment variables "
        "HTTPS_PROXY and NO_PROXY, and what the proxy lets through.",
        exception=(requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL),
        test=lambda answer: answer.first,
    ),
    Rule(
        Cause.IMPOSSIBLE_REQUEST,
        Action.STOP,
        "The request for {subject} cannot be sent ({detail}): check the settings url, "
        "extra_headers and secret_headers.",
        exception=(
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidHeader,
        ),
    ),
    Rule(
        Cause.HOST_NOT_FOUND,
        Action.STOP,
        "The host of url was not found for {subject} ({detail}): check the setting url.",
        exception=requests.exceptions.ConnectionError,
        test=_name_unknown,
    ),
    Rule(
        Cause.NO_CONNECTION,
        Action.STOP,
        "No connection to the server for {subject} ({detail}): check the setting url, and the way "
        "there (firewall, proxy).",
        exception=(requests.exceptions.ConnectionError, requests.exceptions.ConnectTimeout),
        test=lambda answer: answer.first and "refused" in str(answer.exception).lower(),
    ),
    Rule(
        Cause.BROKEN_PAYLOAD,
        Action.RETRY,
        "Acumatica's answer for {subject} was broken or cut off ({detail}), also when asked again: "
        "try later, or lower page_size.",
        exception=BrokenPayload,
    ),
    Rule(
        Cause.CONNECTION_LOST,
        Action.RETRY,
        "The connection broke while reading {subject} ({detail}), also when tried again: try "
        "later.",
        exception=OSError,
    ),
    Rule(
        Cause.ACCOUNT_LOCKED,
        Action.STOP,
        "The account is locked out ({detail}): unlock it on Users (SM201010), then try again.",
        statuses=ERRORS,
        pattern=words(r"locked out|account is locked"),
    ),
    Rule(
        Cause.API_LOGIN_LIMIT,
        Action.RETRY,
        "Acumatica refused {subject} since its licence allows no more sessions ({detail}): sign "
        "out other integrations, wait an hour, or ask for more API users.",
        statuses=ERRORS,
        pattern=words(r"api login limit"),
    ),
    Rule(
        Cause.TOKEN_ENDED,
        Action.REFRESH,
        "Acumatica no longer takes the access token for {subject} (401): run the tap again.",
        statuses=status_of(401),
        test=lambda answer: answer.credential is Credential.TOKEN,
    ),
    Rule(
        Cause.TOKEN_REFUSED,
        Action.STOP,
        "Acumatica refused a new access token for {subject} (401): check the tenant in client_id "
        "and url, and that scope holds api.",
        statuses=status_of(401),
        test=lambda answer: answer.credential is Credential.NEW_TOKEN,
    ),
    Rule(
        Cause.SIGN_IN_REFUSED,
        Action.STOP,
        "Acumatica refused the sign-in for {subject} (401): check username, password and the "
        "tenant in url. It was sent once, since accounts lock.",
        statuses=status_of(401),
    ),
    Rule(
        Cause.NO_RIGHTS,
        Action.SKIP,
        "Acumatica refused {subject} (403): the account has no access right to it. Grant it on "
        "Access Rights by Role (SM201025), or leave the stream out with exclude_entities.",
        statuses=status_of(403),
    ),
    Rule(
        *TOO_LONG,
        statuses=status_of(400, 404),
        pattern=words(r"query ?(?:string)? (?:is )?too long|length of the query|404\.15"),
    ),
    Rule(
        Cause.NOT_FOUND,
        Action.SKIP,
        "Acumatica has no {subject} (404): run discovery again, or leave the stream out with "
        "exclude_entities; where nothing else is found either, check the setting url and the "
        "tenant in it.",
        statuses=status_of(404),
    ),
    Rule(
        Cause.LICENCE_LIMIT,
        Action.RETRY,
        "Acumatica declined {subject} since its licence's request limit is reached ({status}), "
        "also after waiting: run at another time, or set max_pool_size to 1.",
        statuses=status_of(429),
    ),
    Rule(*TOO_LONG, statuses=status_of(414)),
    Rule(
        Cause.MAINTENANCE,
        Action.RETRY,
        "Acumatica is not to be had for {subject} ({status}: {detail}), also when asked again: it "
        "is under maintenance or being restarted; try later.",
        test=_maintained,
    ),
    Rule(
        Cause.REDIRECT,
        Action.STOP,
        "The server sent {subject} elsewhere ({status}), as to a sign-in page: check the setting "
        "url, and that OData is switched on for the account.",
        statuses=REDIRECTS,
    ),
    Rule(
        Cause.COLUMN_MAY_NOT_BE_QUERIED,
        Action.REPHRASE,
        "Acumatica refused {subject} since its column {column} is virtual ({detail}): deselect it, "
        "or run discovery again.",
        statuses=REFUSED,
        pattern=words(r"(?:Filter on|Property|Field) '([^']+)' (?:is not allowed|cannot be)"),
    ),
    Rule(
        Cause.COLUMN_IS_GONE,
        Action.STOP,
        "Acumatica no longer has the column {column} of {subject}: run discovery again.",
        statuses=REFUSED,
        pattern=words(r"Could not find a property named '([^']+)'"),
    ),
    Rule(
        *QUERY_REFUSED,
        statuses=REFUSED,
        pattern=words(
            r"unknown function|Unrecognized '|incompatible types|syntax error|"
            r"not supported|virtual field|is not valid|Invalid (?:filter|literal|type)"
        ),
    ),
    Rule(*QUERY_REFUSED, statuses=status_of(400)),
    Rule(
        Cause.SERVER_ERROR,
        Action.RETRY,
        "Acumatica failed on {subject} ({status}: {detail}), also when asked again: try later, and "
        "see the trace log of the instance if it stays.",
        statuses=(*REST_OF_5XX, *status_of(408)),
    ),
    Rule(
        Cause.REFUSED,
        Action.STOP,
        "The server refused {subject} ({status}: {detail}): check the setting url.",
        statuses=REST_OF_4XX,
    ),
    Rule(
        Cause.EMPTY_BODY,
        Action.REPHRASE,
        "Acumatica answered {subject} with nothing at all (200, empty body), as it does for a "
        "filter or order on a formula column or for a broken inquiry: try the inquiry or form in "
        "Acumatica itself.",
        test=lambda answer: not answer.body.strip(),
    ),
    Rule(
        Cause.NOT_ACUMATICA,
        Action.STOP,
        "The server answered {subject} with a web page in place of data: check that the setting "
        "url is the address of an Acumatica site.",
        test=lambda answer: answer.first and answer.is_page,
    ),
    Rule(
        Cause.PAGE_IN_PLACE_OF_DATA,
        Action.RETRY,
        "The server answered {subject} with a web page in place of data, also when asked again: "
        "it may be under maintenance; try later.",
        test=lambda answer: answer.is_page,
    ),
)


def classify(answer: RawResponse, rules: Sequence[Rule] = RULES) -> RequestFailed | None:
    """Classify what came back; None where it is an answer to work with."""
    rule = next((rule for rule in rules if rule.fits(answer)), None)
    return _failed(rule, answer) if rule else None


def _failed(rule: Rule, answer: RawResponse) -> RequestFailed:
    found = rule.pattern.search(answer.message) if rule.pattern else None
    column = found.group(1) if found and found.groups() else None
    detail = _without_url(answer.exception) if answer.exception else answer.message
    sentence = rule.sentence.format(
        subject=answer.subject,
        status=answer.status,
        column=column,
        error=answer.error or "no error named",
        detail=shortened(masking.masked(detail)) or "no further word",
    )
    return RequestFailed(
        rule.cause,
        rule.action,
        sentence,
        wait=retry_after(answer.headers) if answer.status else None,
        column=column,
        is_page=answer.is_page,
    )
