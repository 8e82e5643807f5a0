"""The error table: failed requests, with their cause, the tap's action and the user's message.

The facts behind each rule are in docs/acumatica.md, sections "Status codes" and "Error bodies".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import requests

from tap_acumatica.odata.errors import Action, BrokenPayload, Cause, Persistence, RequestFailed
from tap_acumatica.odata.http.answer import Credential, retry_after, shortened
from tap_acumatica.odata.http.transport import ResponseTooLarge
from tap_acumatica.odata.masking import masking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_acumatica.odata.http.answer import RawResponse


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. All of its conditions have to match a response."""

    cause: Cause
    action: Action
    sentence: str
    statuses: tuple[range, ...] = ()
    pattern: re.Pattern[str] | None = None
    limits: str = ""
    """The query option whose limit the pattern finds, instead of a column."""
    exception: type[Exception] | tuple[type[Exception], ...] | None = None
    test: Callable[[RawResponse], bool] | None = None
    persistence: Persistence | None = None

    def matches(self, response: RawResponse) -> bool:
        """Whether this row applies to the response."""
        if (response.exception is None) != (self.exception is None):
            return False
        if self.exception and not isinstance(response.exception, self.exception):
            return False
        if self.statuses and not any(response.status in statuses for statuses in self.statuses):
            return False
        if self.pattern and not self.pattern.search(response.message):
            return False
        return self.test is None or self.test(response)


def exactly(*codes: int) -> tuple[range, ...]:
    """Return the `statuses` of a rule for these status codes."""
    return tuple(range(code, code + 1) for code in codes)


def any_case(pattern: str) -> re.Pattern[str]:
    """Return the `pattern` of a rule: a regular expression that ignores case."""
    return re.compile(pattern, re.IGNORECASE)


def timed_out(error: Exception | None) -> bool:
    """Whether the server was too slow; requests has no type for a timeout within the body."""
    return isinstance(error, requests.exceptions.ReadTimeout) or "Read timed out" in str(error)


def _of_response(error: Exception | None) -> bool:
    """Whether it is a header of the response that is invalid, such as two different lengths."""
    return isinstance(error, requests.exceptions.InvalidHeader) and error.request is not None


def _under_maintenance(response: RawResponse) -> bool:
    """Whether the site says that it is under maintenance: by status, web page or redirect."""
    text = response.headers.get("Location", "") if response.status in REDIRECTS[0] else ""
    if response.is_page:
        text = response.message
    return response.status == HTTPStatus.SERVICE_UNAVAILABLE or "maintenance" in text.lower()


def at_login_limit(response: RawResponse) -> bool:
    """Whether there are too many sessions, in any of the forms that were seen.

    They are a redirect, a web page of any status, an error with or without the server's trace, and
    a 429 with words of the web server.
    """
    words = LOGIN_LIMIT
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        words = re.compile(f"{words.pattern}|custom error module does not", re.IGNORECASE)
    return response.mentions(words)


def _preferences_missing(response: RawResponse) -> bool:
    return not response.is_page and response.mentions(NOT_SET_UP)


def _column_unknown(response: RawResponse) -> bool:
    return response.mentions(UNKNOWN_COLUMN)


def _host_unknown(response: RawResponse) -> bool:
    return response.first and "resolve" in str(response.exception).lower()


def _bundle_missing(response: RawResponse) -> bool:
    """Whether the environment names a missing certificate bundle; requests has no type for it."""
    return "TLS CA certificate bundle" in str(response.exception)


def _tls_misconfigured(response: RawResponse) -> bool:
    """Whether a TLS failure is permanent; during a run TLS can also fail as any connection does."""
    return response.first or "certificate" in str(response.exception).lower()


def _without_url(error: Exception) -> str:
    """Return the text of an exception without the URL, which can be too long to quote."""
    return re.sub(r" with url: \S+", "", str(error))


BAD_QUERY: Final = exactly(400, 500, 501)
ERRORS: Final = (range(400, 600),)
REDIRECTS: Final = (range(300, 400),)
REST_OF_4XX: Final = (range(400, 500),)
REST_OF_5XX: Final = (range(500, 600),)

LOGIN_LIMIT: Final = any_case("api login limit|concurrent api logins|CheckApiUsersLimits")
NOT_SET_UP: Final = any_case("PXSetupNotEntered|required configuration data is not entered")
UNKNOWN_COLUMN: Final = any_case(r"\bKeyNotFoundException\b|given key .{0,200}was not present")
TIMED_OUT: Final = any_case(r"time-?out\b.{0,80}\b(?:elapsed|expired)|timed[ -]out")

NAMED_LIMITS: Final = (
    r"limit of '\d+' for|node count limit|exceeded the maximum number allowed|recursion limit|"
    r"nested too deeply"
)
"""Limits of a query that OData libraries and the database name."""

UNCHANGING: Final = Persistence(Action.STOP, times=5, seconds=60.0, within=5.0)
"""A failure that is not known to pass: overload varies, or takes time to be noticed."""

TOO_SLOW: Final = (
    Cause.READ_TIMEOUT,
    Action.SHRINK,
    (
        "Acumatica did not send {subject} in time ({status}: {detail}), even after retries: lower "
        "page_size, or deselect columns that you do not need."
    ),
)
SERVER_ERROR: Final = (
    Cause.SERVER_ERROR,
    Action.RETRY,
    (
        "Acumatica failed on {subject} ({status}: {detail}), even after retries: try later; if the "
        "error persists, see the instance's trace log."
    ),
)
TOO_LONG: Final = (
    Cause.QUERY_TOO_LONG,
    Action.STOP,
    "The server refused the URL for {subject} as too long ({status}): lower max_url_length.",
)
COLUMN_IS_GONE: Final = (
    Cause.COLUMN_IS_GONE,
    Action.STOP,
    "Acumatica no longer has the column {column} of {subject}: run discovery again.",
)
QUERY_LIMIT: Final = (
    Cause.QUERY_LIMIT,
    Action.REPHRASE,
    (
        "Acumatica refused the query for {subject} since it exceeds a limit ({detail}), which a "
        "read of it cannot keep: lower page_size, or exclude the stream."
    ),
)
QUERY_REFUSED: Final = (
    Cause.QUERY_REFUSED,
    Action.REPHRASE,
    (
        "Acumatica refused the query for {subject} ({status}: {detail}): please report it, with "
        "the request that the log shows."
    ),
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        Cause.READ_TIMEOUT,
        Action.SHRINK,
        "Acumatica did not send {subject} in time, even after retries: raise timeout.",
        exception=(requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError),
        test=lambda response: timed_out(response.exception),
    ),
    Rule(
        Cause.RESPONSE_TOO_LARGE,
        Action.SHRINK,
        "Acumatica's response for {subject} is too large ({detail}): lower page_size, or raise "
        "max_response_size.",
        exception=ResponseTooLarge,
    ),
    Rule(
        Cause.TLS_FAILURE,
        Action.STOP,
        "No secure connection for {subject} ({detail}): check the setting url; if the certificate "
        "was not accepted, set ca_bundle to the certificates of your certificate authority.",
        exception=requests.exceptions.SSLError,
        test=_tls_misconfigured,
    ),
    Rule(
        Cause.NO_CERTIFICATES,
        Action.STOP,
        "The CA certificates to verify the server were not found for {subject} ({detail}): set "
        "ca_bundle, or correct the environment variables REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.",
        exception=OSError,
        test=_bundle_missing,
    ),
    Rule(
        Cause.PROXY,
        Action.STOP,
        "No connection through the proxy for {subject} ({detail}): check the environment variables "
        "HTTPS_PROXY and NO_PROXY, and what the proxy allows.",
        exception=(requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL),
        test=lambda response: response.first,
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
        test=lambda response: not _of_response(response.exception),
    ),
    Rule(
        Cause.HOST_NOT_FOUND,
        Action.STOP,
        "The host in url was not found for {subject} ({detail}): check the setting url.",
        exception=requests.exceptions.ConnectionError,
        test=_host_unknown,
    ),
    Rule(
        Cause.NO_CONNECTION,
        Action.STOP,
        "No connection to the server for {subject} ({detail}): check the setting url, and whether "
        "a firewall or proxy blocks the connection.",
        exception=(requests.exceptions.ConnectionError, requests.exceptions.ConnectTimeout),
        test=lambda response: response.first and "refused" in str(response.exception).lower(),
    ),
    Rule(
        Cause.BROKEN_PAYLOAD,
        Action.RETRY,
        "Acumatica's response for {subject} was broken or cut off ({detail}), even after retries: "
        "try later, or lower page_size.",
        exception=BrokenPayload,
    ),
    Rule(
        Cause.CONNECTION_LOST,
        Action.RETRY,
        "The connection broke while reading {subject} ({detail}), even after retries: try later.",
        exception=OSError,
    ),
    Rule(
        Cause.ACCOUNT_LOCKED,
        Action.STOP,
        "The account is locked out ({detail}): unlock it on Users (SM201010), then try again.",
        statuses=ERRORS,
        pattern=any_case(r"locked out|account is locked"),
    ),
    Rule(
        Cause.API_LOGIN_LIMIT,
        Action.RETRY,
        "Acumatica refused {subject} since its licence allows no more sessions, or none of this "
        "user ({detail}): sign out other integrations, wait an hour, raise Max. Number of "
        "Concurrent API Logins of the user on Users (SM201010), which is 1 unless set, or ask for "
        "more API users.",
        test=at_login_limit,
    ),
    Rule(
        Cause.BROKEN_PAYLOAD,
        Action.RETRY,
        "Acumatica's response for {subject} was broken or cut off (only {status} arrived), even "
        "after retries: try later; if the error persists, see what a proxy on the way sends.",
        statuses=(range(100, 200),),
    ),
    Rule(
        Cause.TOKEN_ENDED,
        Action.REFRESH,
        "Acumatica no longer accepts the access token for {subject} (401): run the tap again.",
        statuses=exactly(401),
        test=lambda response: response.credential is Credential.TOKEN,
    ),
    Rule(
        Cause.TOKEN_REFUSED,
        Action.STOP,
        "Acumatica refused a new access token for {subject} (401): check the tenant in client_id "
        "and url, and that scope contains api.",
        statuses=exactly(401),
        test=lambda response: response.credential is Credential.NEW_TOKEN,
    ),
    Rule(
        Cause.SIGN_IN_REFUSED,
        Action.STOP,
        "Acumatica refused the sign-in for {subject} (401): check username, password and the "
        "tenant in url. The password was sent only once, since repeated failures lock accounts.",
        statuses=exactly(401),
    ),
    Rule(
        Cause.NO_RIGHTS,
        Action.SKIP,
        "Acumatica refused {subject} (403: {detail}): the account has no access right to it. Grant "
        "it on Access Rights by Role (SM201025), or leave the stream out with exclude_entities.",
        statuses=exactly(403),
        test=lambda response: response.is_own,
    ),
    Rule(
        *TOO_LONG,
        statuses=exactly(400, 404),
        pattern=any_case(r"query ?(?:string)? (?:is )?too long|length of the query|404\.15"),
    ),
    Rule(
        Cause.NOT_FOUND,
        Action.SKIP,
        "Acumatica has no {subject} (404): run discovery again, or leave the stream out with "
        "exclude_entities; if nothing else is found either, check the setting url and the tenant "
        "in it.",
        statuses=exactly(404),
        test=lambda response: response.is_own,
    ),
    Rule(
        Cause.REFUSED_ON_THE_WAY,
        Action.RETRY,
        "The web server or a firewall, not Acumatica itself, refused {subject} ({status}: "
        "{detail}), even after retries: try later; if the error persists, check what stands "
        "between this machine and the site.",
        statuses=exactly(403, 404),
        test=lambda response: response.is_page,
    ),
    Rule(
        Cause.REFUSED_ON_THE_WAY,
        Action.RETRY,
        "The web server or a firewall, not Acumatica itself, refused {subject} ({status}: "
        "{detail}), as far as the answer shows: check what stands between this machine and the "
        "site; if nothing does, leave the stream out with exclude_entities.",
        statuses=exactly(403, 404),
        persistence=UNCHANGING,
    ),
    Rule(
        Cause.LICENCE_LIMIT,
        Action.RETRY,
        "Acumatica declined {subject} since its licence's request limit is reached ({status}), "
        "even after waiting: run at another time, or set max_pool_size to 1.",
        statuses=exactly(429),
    ),
    Rule(*TOO_LONG, statuses=exactly(414)),
    Rule(
        Cause.MAINTENANCE,
        Action.RETRY,
        "Acumatica is unavailable for {subject} ({status}: {detail}), even after retries: it is "
        "under maintenance or restarting; try later.",
        test=_under_maintenance,
    ),
    Rule(
        Cause.REDIRECT,
        Action.STOP,
        "The server redirected the request for {subject} ({status}, to {location}), perhaps to a "
        "sign-in page: check the setting url, and that OData is switched on for the account.",
        statuses=REDIRECTS,
    ),
    Rule(
        *TOO_SLOW,
        statuses=exactly(502, 504, 524),
        test=lambda response: response.resizable,
    ),
    Rule(
        Cause.NOT_SET_UP,
        Action.SKIP,
        "Acumatica cannot read {subject} before its module is set up ({detail}): fill in that "
        "form, or leave the stream out with exclude_entities.",
        statuses=exactly(500),
        test=_preferences_missing,
    ),
    Rule(
        Cause.COLUMN_MAY_NOT_BE_QUERIED,
        Action.REPHRASE,
        "Acumatica refused {subject} since its column {column} is virtual ({detail}): deselect it, "
        "or run discovery again.",
        statuses=BAD_QUERY,
        pattern=any_case(r"(?:Filter on|Property|Field) '([^']+)' (?:is not allowed|cannot be)"),
    ),
    Rule(
        *COLUMN_IS_GONE,
        statuses=BAD_QUERY,
        pattern=any_case(r"Could not find a property named '([^']+)'"),
    ),
    Rule(
        *QUERY_LIMIT,
        statuses=BAD_QUERY,
        pattern=any_case(
            r"limit of '?(\d+)'? for '?\$?top\b|"
            r"\$top\b[^.\d]*?(?:exceed|at most|maximum|limit|greater|more than)\D{0,40}?(\d+)"
        ),
        limits="$top",
    ),
    Rule(
        *QUERY_LIMIT,
        statuses=BAD_QUERY,
        pattern=any_case(
            r"limit of '?(\d+)'? for '?\$?orderby\b|"
            r"maximum number of \$?orderby clauses (?:allowed )?is '?(\d+)|"
            r"\$orderby\b[^.\d]*?(?:exceed|at most|maximum|limit|more than)\D{0,40}?(\d+)"
        ),
        limits="$orderby",
    ),
    Rule(*QUERY_REFUSED, statuses=BAD_QUERY, pattern=any_case(NAMED_LIMITS)),
    Rule(
        *QUERY_REFUSED,
        statuses=BAD_QUERY,
        pattern=any_case(
            r"unknown function|Unrecognized '|incompatible types|syntax error|"
            r"not supported|virtual field|is not valid|Invalid (?:filter|literal|type)|"
            r"node count limit|recursion limit|nested too deep"
        ),
    ),
    # What is not implemented (501) does not come by waiting.
    Rule(*QUERY_REFUSED, statuses=exactly(400, 501)),
    Rule(
        Cause.COLUMN_UNKNOWN,
        Action.RETRY,
        "Acumatica does not know a column of {subject} ({detail}): run discovery again; if the "
        "error persists, see the instance's trace log.",
        statuses=exactly(500),
        test=_column_unknown,
        persistence=Persistence(Action.REPHRASE, times=2),
    ),
    Rule(
        *TOO_SLOW,
        statuses=exactly(500),
        pattern=TIMED_OUT,
        test=lambda response: response.resizable,
    ),
    Rule(*SERVER_ERROR, statuses=exactly(500), pattern=TIMED_OUT),
    Rule(
        *SERVER_ERROR,
        statuses=exactly(500),
        # While a site restarts, pages come back the same for minutes.
        test=lambda response: not response.is_page,
        persistence=UNCHANGING,
    ),
    Rule(*SERVER_ERROR, statuses=(*REST_OF_5XX, *exactly(408))),
    Rule(
        Cause.REFUSED,
        Action.STOP,
        "The server refused {subject} ({status}: {detail}): check the setting url.",
        statuses=REST_OF_4XX,
    ),
    Rule(
        Cause.EMPTY_BODY,
        Action.REPHRASE,
        "Acumatica answered the request for {subject} with nothing at all (200, empty body), as it "
        "does if a query filters or sorts by a formula column, or if an inquiry is broken: try the "
        "inquiry or form in Acumatica itself.",
        test=lambda response: (
            response.status != HTTPStatus.NO_CONTENT and not response.body.strip()
        ),
    ),
    Rule(
        Cause.NOT_ACUMATICA,
        Action.STOP,
        "The server sent a web page instead of data for {subject}: check that the setting url is "
        "the address of an Acumatica site.",
        test=lambda response: response.first and response.is_page,
    ),
    Rule(
        Cause.PAGE_IN_PLACE_OF_DATA,
        Action.RETRY,
        "The server sent a web page instead of data for {subject}, even after retries: it may be "
        "under maintenance; try later.",
        test=lambda response: response.is_page,
    ),
)


def classify(response: RawResponse, rules: Sequence[Rule] = RULES) -> RequestFailed | None:
    """Return the failure that a response means, or None if the request succeeded."""
    rule = next((rule for rule in rules if rule.matches(response)), None)
    return _failed(rule, response) if rule else None


def _failed(rule: Rule, response: RawResponse) -> RequestFailed:
    match = rule.pattern.search(response.message) if rule.pattern else None
    found = next(filter(None, match.groups()), None) if match else None
    column = None if rule.limits else found
    detail = _without_url(response.exception) if response.exception else response.message
    sentence = rule.sentence.format(
        subject=response.subject,
        status=response.status,
        column=column,
        error=response.oauth_error or "no error code",
        location=shortened(masking.masked(response.location)) or "no address",
        detail=shortened(masking.masked(detail)) or "no details",
    )
    return RequestFailed(
        rule.cause,
        rule.action,
        sentence,
        status=response.status,
        wait=retry_after(response.headers) if response.status else None,
        column=column,
        limits=rule.limits,
        limit=int(found) if rule.limits and found else None,
        is_page=response.is_page,
        persistence=rule.persistence,
    )
