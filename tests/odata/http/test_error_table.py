"""The error table: the cause, the action and the message of every kind of failure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from tap_acumatica.odata.errors import Action, BrokenPayload, RequestFailed
from tap_acumatica.odata.http.answer import (
    MAX_DETAIL_LENGTH,
    RawResponse,
    http_date,
    message_of,
    retry_after,
)
from tap_acumatica.odata.http.error_table import RULES, classify, timed_out
from tap_acumatica.odata.masking import masking

SUBJECT = "PX_Objects_SO_SOOrder"
DATA = b'{"value":[{"OrderNbr":"SO1"}]}'
JSON = "application/json; odata.metadata=minimal"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

VIRTUAL = "Filter on 'DocBal' is not allowed because it is a virtual field"
GONE = "Could not find a property named 'OldColumn' on type 'PX.Objects.SO.SOOrder'."
SUBSTRINGOF = "An unknown function with name 'substringof' was found. This may also be a function"
LITERAL = "Unrecognized 'Edm.String' literal 'datetimeoffset'2024-01-01'' at '13' in '...'."
OPERATOR = (
    "A binary operator with incompatible types was detected. Found operand types 'Edm.String' and "
    "'Edm.Decimal' for operator kind 'GreaterThan'."
)
LOCKED = "Your account is locked out. Contact your administrator."
LIMIT = "API Login Limit"


def shapes(message: str) -> list[bytes]:
    """Return an error body with this message in each known shape."""
    contents: list[Any] = [
        {"message": message},
        {"Message": "An error has occurred.", "ExceptionMessage": message},
        {"message": "An error has occurred.", "exceptionMessage": message, "stackTrace": "at PX"},
        {"error": {"code": "", "message": message}},
        {"odata.error": {"code": "", "message": {"lang": "en-US", "value": message}}},
    ]
    html = f"<html><body>\n<h1>Server Error</h1> <p>{message}</p></body></html>"
    return [
        *(json.dumps(content).encode() for content in contents),
        message.encode(),
        html.encode(),
    ]


def response(status: int, body: bytes = b"", *, first: bool = False, **headers: str) -> RawResponse:
    by_name = {name.replace("_", "-"): value for name, value in headers.items()}
    return RawResponse(SUBJECT, status, CaseInsensitiveDict(by_name), body, first=first)


def failure(outcome: RawResponse) -> RequestFailed:
    failed = classify(outcome)
    assert failed is not None
    return failed


def raised(error: Exception, *, first: bool = False) -> RequestFailed:
    return failure(RawResponse(SUBJECT, exception=error, first=first))


@pytest.mark.parametrize(
    ("status", "message", "cause", "action"),
    [
        (400, "", "query refused", Action.REPHRASE),
        (400, VIRTUAL, "column may not be queried", Action.REPHRASE),
        (401, "You are not logged in.", "sign-in refused", Action.STOP),
        (401, LOCKED, "account locked", Action.STOP),
        (403, LOCKED, "account locked", Action.STOP),
        (405, "", "refused", Action.STOP),
        (408, "", "server error", Action.RETRY),
        (411, "Length Required", "refused", Action.STOP),
        (414, "", "query too long", Action.STOP),
        (429, "Too many requests.", "licence limit", Action.RETRY),
        (429, LIMIT, "API login limit", Action.RETRY),
        (500, LIMIT, "API login limit", Action.RETRY),
        (500, "An error has occurred.", "server error", Action.RETRY),
        (500, LOCKED, "account locked", Action.STOP),
        (500, VIRTUAL, "column may not be queried", Action.REPHRASE),
        (500, GONE, "column is gone", Action.STOP),
        (500, SUBSTRINGOF, "query refused", Action.REPHRASE),
        (500, LITERAL, "query refused", Action.REPHRASE),
        (500, OPERATOR, "query refused", Action.REPHRASE),
        (501, "not supported", "query refused", Action.REPHRASE),
        (501, "", "query refused", Action.REPHRASE),
        (502, SUBSTRINGOF, "server error", Action.RETRY),
        (503, "Service unavailable.", "maintenance", Action.RETRY),
        (504, "", "server error", Action.RETRY),
    ],
)
def test_a_status_leads_to_what_is_done_whatever_the_shape_of_the_body(
    status: int, message: str, cause: str, action: Action
) -> None:
    for body in shapes(message):
        for first in (True, False):
            failed = failure(response(status, body, first=first))
            assert (failed.cause, failed.action) == (cause, action)


# Whose answer it is

OWN = [
    *shapes("You have insufficient rights.")[:5],
    b'<?xml version="1.0"?><m:error xmlns:m="x"><m:code /></m:error>',
    b"<error/>",
]
MARKS: list[dict[str, Any]] = [
    {"OData_Version": "4.0"},
    {"DataServiceVersion": "3.0;"},
    {"Set_Cookie": "UserBranch=16; path=/, Locale=TimeZone=GMTE0000U&Culture=en-US; path=/"},
]
PAGES = [
    b"<html><body><h1>403 Forbidden</h1></body></html>",
    b"<!DOCTYPE html>\r\n<HTML><title>Request blocked</title></HTML>",
]


@pytest.mark.parametrize(("status", "cause"), [(403, "no rights"), (404, "not found")])
def test_a_refusal_in_acumatica_s_own_words_skips_the_stream(status: int, cause: str) -> None:
    refusals = [response(status, body) for body in OWN]
    refusals += [
        response(status, body, **mark) for body in (b"", b"No such entity.") for mark in MARKS
    ]
    for refusal in refusals:
        for first in (True, False):
            failed = failure(replace(refusal, first=first))
            assert (failed.cause, failed.action) == (cause, Action.SKIP)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_by_something_on_the_way_is_asked_again(status: int) -> None:
    pages = [
        response(status, page, **mark)
        for page in PAGES
        for mark in ({}, *MARKS, {"Content_Type": "application/json"})
    ]
    others = [response(status, text) for text in (b"", b"error code: 1020", b"[1]", b'{"a":1}')]
    for refusal in (*pages, response(status, b"no", Content_Type="text/html"), *others):
        failed = failure(refusal)
        assert (failed.cause, failed.action) == ("refused on the way", Action.RETRY)
        assert (failed.persistence is None) == refusal.is_page


@given(st.sampled_from([403, 404]), st.binary(max_size=300))
def test_only_what_an_application_sends_skips_a_stream(status: int, body: bytes) -> None:
    refusal = response(status, body)
    assert (failure(refusal).action is Action.SKIP) == refusal.is_own


# What a server says with other statuses

LOGIN_LIMITS = [
    response(200, b"<html><head><title>API Login Limit</title></head></html>"),
    response(500, b"<html><head><title>API Login Limit</title></head></html>"),
    response(429, b"The custom error module does not recognize this error."),
    response(
        302,
        Location="/Frames/Error.aspx?exceptionID=a&message=The%20number+of%20concurrent%20API"
        "%20logins%20has%20been%20reached.",
    ),
    response(302, Location="/Frames/Error.aspx?message=API+Login+Limit#%zz["),
    response(
        500,
        b'{"message":"An error has occurred.","exceptionMessage":"Trop de sessions.","stackTrace":'
        b'"   at PX.LicensePolicy.PXLicensePolicy.CheckApiUsersLimits(PXLicense l)"}',
    ),
    response(500, b'{"error":{"message":"Too many concurrent API logins, see Users (SM201010)."}}'),
]


@pytest.mark.parametrize("outcome", LOGIN_LIMITS)
def test_too_many_sessions_are_told_however_it_is_said(outcome: RawResponse) -> None:
    for first in (True, False):
        failed = failure(replace(outcome, first=first))
        assert (failed.cause, failed.action) == ("API login limit", Action.RETRY)
        assert "Max. Number of Concurrent API Logins" in str(failed)
        assert "SM201010" in str(failed)


def test_a_redirect_quotes_what_it_says_and_where_it_leads() -> None:
    assert "The number of concurrent API logins has been" in str(failure(LOGIN_LIMITS[3]))
    failed = failure(response(302, Location="/Frames/Login.aspx?ReturnUrl=%2fodata"))
    assert "(302, to /Frames/Login.aspx?ReturnUrl=/odata)" in str(failed)


def test_no_secret_is_in_where_a_redirect_leads() -> None:
    masking.add(["p&ss w"])
    for address in ("/Login?key=p%26ss%20w", "/Login?key=p%26ss+w", "/Login?key=p&ss w"):
        assert "ss w" not in str(failure(response(302, Location=address))).replace("%20", " ")


SETUP = b"""{"message":"An error has occurred.","exceptionMessage":"The required configuration data
is not entered on the Accounts Receivable Preferences form.","exceptionType":
"PX.Data.PXSetupNotEnteredException","stackTrace":""}"""


def test_a_module_without_its_preferences_is_skipped_with_the_name_of_the_form() -> None:
    failed = failure(response(500, SETUP))
    assert (failed.cause, failed.action) == ("not set up", Action.SKIP)
    assert "Accounts Receivable Preferences form" in str(failed)
    page = b"<html>PXSetupNotEnteredException</html>"
    assert failure(response(500, page)).action is not Action.SKIP


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"x","exceptionType":"System.Collections.Generic.KeyNotFoundException"}',
        b'{"message":"The given key was not present in the dictionary."}',
        b'{"message":"The given key \'UsrColor\' was not present in the dictionary."}',
    ],
)
def test_a_column_that_the_server_does_not_know_may_be_asked_for_in_another_way(
    body: bytes,
) -> None:
    failed = failure(response(500, body))
    assert (failed.cause, failed.action) == ("column unknown", Action.RETRY)
    assert failed.persistence
    assert (failed.persistence.action, failed.persistence.times) == (Action.REPHRASE, 2)


TIMEOUTS = [
    "Execution Timeout Expired.  The timeout period elapsed prior to completion of the operation.",
    "Timeout expired. The timeout period elapsed prior to obtaining a connection from the pool.",
    "The wait operation timed out",
    "Request timed out.",
]


@pytest.mark.parametrize(
    "outcome",
    [
        *(response(status) for status in (502, 504, 524)),
        *(response(status, PAGES[0]) for status in (502, 504, 524)),
        *(response(500, body) for text in TIMEOUTS for body in shapes(text)),
    ],
)
def test_a_timeout_that_a_status_tells_makes_a_page_smaller(outcome: RawResponse) -> None:
    failed = failure(replace(outcome, resizable=True))
    assert (failed.cause, failed.action) == ("read timeout", Action.SHRINK)
    # What has no pages is repeated.
    assert failure(outcome).action is Action.RETRY


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(
    ("message", "limits", "limit"),
    [
        (
            "The limit of '1000' for Top query has been exceeded. The value was '2000'.",
            "$top",
            1000,
        ),
        ("The node count limit of '100' has been exceeded.", "", None),
        (
            "The number of clauses in $orderby query option exceeded the maximum number allowed.",
            "",
            None,
        ),
        ("Some part of your SQL statement is nested too deeply.", "", None),
    ],
)
def test_a_limit_that_the_server_names_is_met_or_asked_in_another_way(
    status: int, message: str, limits: str, limit: int | None
) -> None:
    for body in shapes(message):
        failed = failure(response(status, body))
        assert failed.action is Action.REPHRASE
        assert (failed.limits, failed.limit) == (limits, limit)


def test_an_unknown_error_is_not_expected_to_pass_for_ever() -> None:
    unknown = failure(response(500, shapes("Object reference not set.")[0]))
    assert unknown.persistence
    assert unknown.persistence.action is Action.STOP
    # Pages come while a site restarts.
    for other in (response(500, PAGES[0]), response(503), response(408), response(502)):
        assert failure(other).persistence is None


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_an_informational_answer_is_none(status: int) -> None:
    failed = failure(response(status))
    assert (failed.cause, failed.action) == ("broken payload", Action.RETRY)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    failed = failure(response(status, b"<html></html>", Location="/Frames/Login.aspx"))
    assert (failed.cause, failed.action) == ("redirect", Action.STOP)


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_nothing_at_all_is_not_an_empty_result(body: bytes) -> None:
    for content_type in (JSON, "text/plain"):
        failed = failure(response(200, body, Content_Type=content_type))
        assert (failed.cause, failed.action) == ("empty body", Action.REPHRASE)


PAGE = b"<!DOCTYPE html><html><head><title>Sign In</title></head></html>"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PAGE, "text/html; charset=utf-8"),
        (PAGE, "Text/HTML"),
        (b"Sign in, please", "text/html"),
        (PAGE, JSON),
        (b"\xef\xbb\xbf\r\n  " + PAGE, JSON),
        (b'<?xml version="1.0"?><HTML xmlns="x"></HTML>', "application/xml"),
    ],
)
def test_a_page_is_no_data(body: bytes, content_type: str) -> None:
    first = failure(response(200, body, first=True, Content_Type=content_type))
    assert (first.cause, first.action) == ("not Acumatica", Action.STOP)
    later = failure(response(200, body, Content_Type=content_type))
    assert (later.cause, later.action) == ("page in place of data", Action.RETRY)


@pytest.mark.parametrize(
    "body",
    [
        DATA,
        b'{"value":[]}',
        b'{"value":[{"Body":"<html><body>An e-mail</body></html>"}]}',
        b'{"value":[{"Descr":"The account is locked out"}]}',
        b'{"value":[{"Descr":"API Login Limit"}],"message":"locked out"}',
        b'<?xml version="1.0"?><edmx:Edmx Version="4.0">locked out</edmx:Edmx>',
    ],
)
def test_what_the_data_hold_does_not_make_them_an_error(body: bytes) -> None:
    for first in (True, False):
        assert classify(response(200, body, first=first, Content_Type=JSON)) is None


@pytest.mark.parametrize(
    ("error", "first", "cause", "action"),
    [
        (requests.ReadTimeout("Read timed out."), None, "read timeout", Action.SHRINK),
        (
            requests.ConnectionError("HTTPPool: Read timed out."),
            None,
            "read timeout",
            Action.SHRINK,
        ),
        (requests.ConnectTimeout("timed out"), None, "connection lost", Action.RETRY),
        (requests.ConnectionError("reset by peer"), None, "connection lost", Action.RETRY),
        (requests.exceptions.ChunkedEncodingError("cut"), None, "connection lost", Action.RETRY),
        (requests.exceptions.ContentDecodingError("gzip"), None, "connection lost", Action.RETRY),
        (ConnectionResetError("reset"), None, "connection lost", Action.RETRY),
        (requests.exceptions.ProxyError("Failed to resolve"), True, "proxy", Action.STOP),
        (requests.exceptions.ProxyError("Connection refused"), True, "proxy", Action.STOP),
        (requests.exceptions.InvalidProxyURL("bad"), True, "proxy", Action.STOP),
        (requests.exceptions.ProxyError("503"), False, "connection lost", Action.RETRY),
        (BrokenPayload("cut off"), None, "broken payload", Action.RETRY),
        (requests.ConnectionError("Failed to resolve 'host'"), True, "host not found", Action.STOP),
        (requests.ConnectionError("Failed to resolve"), False, "connection lost", Action.RETRY),
        (requests.ConnectionError("Connection refused"), True, "no connection", Action.STOP),
        (requests.ConnectionError("Connection refused"), False, "connection lost", Action.RETRY),
        (requests.exceptions.SSLError("wrong version"), True, "TLS failure", Action.STOP),
        (requests.exceptions.SSLError("unexpected EOF"), False, "connection lost", Action.RETRY),
        (
            requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"),
            False,
            "TLS failure",
            Action.STOP,
        ),
        (requests.exceptions.InvalidURL("bad"), None, "impossible request", Action.STOP),
        (requests.exceptions.InvalidHeader("bad"), None, "impossible request", Action.STOP),
    ],
)
def test_an_exception_leads_to_what_is_done(
    error: Exception,
    first: bool | None,
    cause: str,
    action: Action,
) -> None:
    for when_first in (True, False) if first is None else (first,):
        failed = raised(error, first=when_first)
        assert (failed.cause, failed.action) == (cause, action)


def test_timeouts_are_told_before_and_in_the_body() -> None:
    assert timed_out(requests.ReadTimeout("x"))
    assert timed_out(requests.ConnectionError("HTTPConnectionPool: Read timed out."))
    assert not timed_out(requests.ConnectionError("reset"))
    assert not timed_out(None)


@given(st.integers(300, 599), st.binary(max_size=300), st.booleans())
def test_every_error_status_is_a_failure_whatever_the_body(
    status: int,
    body: bytes,
    first: bool,
) -> None:
    failed = failure(response(status, body, first=first, Retry_After=body.decode("latin-1")))
    assert SUBJECT in str(failed) or failed.cause == "account locked"


@pytest.mark.parametrize("rule", RULES)
def test_every_sentence_says_what_happened_to_what_and_what_to_do(rule: Any) -> None:
    sentence: str = rule.sentence
    happened, colon, remedy = sentence.rpartition(": ")
    assert colon
    assert happened[0].isupper()
    assert re.search(
        r"\b(raise|lower|check|set|try|unlock|sign out|run|deselect|report|leave|wait|see)\b",
        remedy,
    )
    assert remedy.endswith(".")
    assert "{subject}" in sentence or rule.cause == "account locked"


def test_sentences_are_as_they_are_meant_to_be_read() -> None:
    body = b'{"message":"You have insufficient rights to access the Users (SM201010) form."}'
    assert str(failure(response(403, body))) == (
        "Acumatica refused PX_Objects_SO_SOOrder (403: You have insufficient rights to access the "
        "Users (SM201010) form.): the account has no access right to it. Grant it on Access Rights "
        "by Role (SM201025), or leave the stream out with exclude_entities."
    )
    assert str(failure(response(401, b"{}"))) == (
        "Acumatica refused the sign-in for PX_Objects_SO_SOOrder (401): check username, password "
        "and the tenant in url. The password was sent only once, since repeated failures lock "
        "accounts."
    )
    assert str(failure(response(500, b'{"message":"Timeout {expired}."}'))) == (
        "Acumatica failed on PX_Objects_SO_SOOrder (500: Timeout {expired}.), even after retries: "
        "try later; if the error persists, see the instance's trace log."
    )


def test_a_server_without_words_is_quoted_as_such() -> None:
    assert "(503: no details)" in str(failure(response(503)))


def test_the_column_that_the_server_objects_to_is_named() -> None:
    for body in shapes(VIRTUAL):
        failed = failure(response(500, body))
        assert failed.column == "DocBal"
        assert "column DocBal is virtual" in str(failed)
    assert failure(response(500, shapes(GONE)[0])).column == "OldColumn"
    assert failure(response(500, shapes(SUBSTRINGOF)[0])).column is None


@pytest.mark.parametrize("body", shapes("What went wrong"))
def test_the_words_of_a_server_are_found_in_every_shape(body: bytes) -> None:
    assert message_of(body).endswith("What went wrong")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ""),
        (b"[1]", "[1]"),
        (b'"words"', "words"),
        (b'{"error":"invalid_grant"}', "{'error': 'invalid_grant'}"),
        (b'{"other":1}', "{'other': 1}"),
        (b"<h2>HTTP Error 503.</h2>\r\n<p>Unavailable.</p>", "HTTP Error 503. Unavailable."),
        (b"caf\xe9", "caf\ufffd"),
    ],
)
def test_bodies_of_other_shapes_are_quoted_as_they_are(body: bytes, expected: str) -> None:
    assert message_of(body) == expected


@given(st.binary())
def test_no_body_is_too_strange_to_be_quoted(body: bytes) -> None:
    assert isinstance(message_of(body), str)


@pytest.mark.parametrize("body", [b"<b " * 3_000_000, b"no JSON " * 3_000_000, b"%41" * 3_000_000])
def test_a_refusal_as_large_as_a_page_is_not_searched_for_words_to_its_end(body: bytes) -> None:
    """To look for the end of each tag alone would take days."""
    masking.add(["5ecret of a&b"])
    assert failure(response(500, b"The account is locked out. " + body)).cause == "account locked"


def test_long_words_are_cut() -> None:
    failed = failure(response(503, b"word " * 10_000))
    assert len(str(failed)) < MAX_DETAIL_LENGTH + 300
    assert "…" in str(failed)


def test_no_secret_is_in_an_error() -> None:
    masking.add(["p&ss w"])
    body = b'{"message":"Login failed: p&ss w"}'
    address = "HTTPSConnectionPool(host='h', port=443): url: /t/C/X?key=p%26ss%20w (reset)"
    for failed in (failure(response(500, body)), raised(requests.ConnectionError(address))):
        assert "***" in str(failed)
        assert "ss w" not in str(failed)
        assert "ss%20w" not in str(failed)


def test_only_an_answer_can_ask_to_wait() -> None:
    assert failure(response(503, Retry_After="7")).wait == 7
    assert failure(response(503)).wait is None
    assert raised(requests.ConnectionError("reset")).wait is None


@given(st.integers(0, 10**30))
def test_retry_after_in_seconds_is_clamped_to_ten_minutes(seconds: int) -> None:
    assert retry_after({"Retry-After": f" {seconds} "}) == min(seconds, 600)


@given(st.integers(-10_000, 10_000), st.integers(-10_000, 10_000))
def test_retry_after_as_a_date_is_seen_from_the_clock_of_the_server(ahead: int, skew: int) -> None:
    clock = NOW + timedelta(seconds=skew)
    until = format_datetime(clock + timedelta(seconds=ahead), usegmt=True)
    headers = {"Retry-After": until, "Date": format_datetime(clock, usegmt=True)}
    expected = min(max(ahead, 0), 600)
    assert retry_after(headers) == expected
    assert retry_after({"Retry-After": until}, clock) == expected


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "2.5", "²", "٣", "Mon, 99 Foo 2026", "Mon, 01 Jun 2026 12:00:00"]
)
def test_a_retry_after_that_says_nothing_is_none(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None


def test_a_date_without_a_zone_is_in_gmt() -> None:
    for zone in (" GMT", " UTC", " +0000", " -0000", ""):
        assert http_date(f"Mon, 01 Jun 2026 12:00:00{zone}") == NOW
    assert http_date("Mon, 01 Jun 2026 14:00:00 +0200") == NOW
    assert http_date("") is None
    assert retry_after({"Retry-After": "Mon, 01 Jun 2026 12:00:30 -0000"}, NOW) == 30


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "outcome",
    [
        RawResponse(
            "S", 200, {"Content-Type": "text/html"}, b"<html>Site under Maintenance</html>"
        ),
        RawResponse("S", 302, {"Location": "https://host/Frames/Maintenance.aspx"}),
        RawResponse("S", 503, {}, b""),
        RawResponse("S", 500, {"Content-Type": "text/html"}, b"<html>under maintenance</html>"),
    ],
)
def test_maintenance_is_told_however_it_is_said(outcome: RawResponse, first: bool) -> None:
    assert failure(replace(outcome, first=first)).cause == "maintenance"


def test_a_row_about_maintenance_is_none() -> None:
    body = b'{"value":[{"Descr":"maintenance <html>"}]}'
    assert classify(RawResponse("S", 200, {"Content-Type": JSON}, body)) is None
