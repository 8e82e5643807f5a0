"""Whatever is logged, by whatever handler, is one line without secrets."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
import requests
import requests_mock

from tap_acumatica.odata.http.auth import Authorization, BasicAuth
from tap_acumatica.odata.log import log_exchange, show_safely
from tap_acumatica.odata.masking import MASK, Masking, masking

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler of a logger writes that passes nothing on."""
    show_safely()
    masking.add(["5ecret"])
    logger = logging.getLogger("any.library")
    handler = logging.StreamHandler(stream := io.StringIO())
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize(
    ("message", "values", "line"),
    [
        ("GET %s after %.2f s", ("/?key=5ecret", 0.5), f"GET /?key={MASK} after 0.50 s"),
        ("100 %% of %s", ("it",), "100 % of it"),
        ("100 % of 5ecret", (), f"100 % of {MASK}"),
        ("%s", ("one\nWARNING two \x1b[2J",), r"one\nWARNING two \x1b[2J"),
    ],
)
def test_a_message_is_one_line_without_secrets(
    written: io.StringIO, message: str, values: tuple[object, ...], line: str
) -> None:
    logging.getLogger("any.library").error(message, *values)
    assert written.getvalue() == f"{line}\n"


def test_the_trace_of_an_error_is_masked(written: io.StringIO) -> None:
    try:
        int("5ecret")
    except ValueError:
        logging.getLogger("any.library").exception("Trace")
    assert "Traceback" in written.getvalue()
    assert f"'{MASK}'" in written.getvalue()
    assert "5ecret" not in written.getvalue()


def test_a_warning_has_no_trace(written: io.StringIO) -> None:
    try:
        int("x")
    except ValueError:
        logging.getLogger("any.library").warning("Odd headers", exc_info=True)
    assert written.getvalue() == "Odd headers\n"


@pytest.mark.parametrize("password", ["simple", "sandbox-ä:p&ss", "日本"])
def test_sign_in_is_sent_in_utf_8_and_all_of_it_is_secret(password: str) -> None:
    auth = BasicAuth("odata", password)
    request = requests.Request("GET", "https://host", auth=auth.authorize()).prepare()
    header = request.headers["Authorization"]
    masks = Masking()
    masks.add(auth.secrets)
    assert masks.masked(header) == f"Basic {MASK}"
    assert password in auth.secrets
    assert (
        header
        == requests.Request(
            "GET",
            "https://host",
            auth=(b"odata", password.encode()),
        )
        .prepare()
        .headers["Authorization"]
    )


@pytest.mark.parametrize("token", ["ä", "\U0001f600", "日本"])
def test_a_token_is_sent_whatever_letters_it_has(token: str) -> None:
    with requests_mock.Mocker() as server:
        server.get("https://host", text="")
        requests.get("https://host", auth=Authorization(f"Bearer {token}"), timeout=5)
        header = server.request_history[0].headers["Authorization"]
    assert header.encode("latin-1").decode() == f"Bearer {token}"


@pytest.mark.parametrize(
    "field", ["password", "client_secret", "refresh_token", "code", "code_verifier"]
)
def test_secret_fields_of_forms_and_answers_are_masked_by_name(
    caplog: pytest.LogCaptureFixture, field: str
) -> None:
    caplog.set_level(logging.INFO, "tap-acumatica")
    with requests_mock.Mocker() as server:
        server.post("https://host/token", text=f'{{"{field}": "s3cret", "expires_in": 60}}')
        response = requests.post(
            "https://host/token", data={field: "s3cret", "grant_type": "x"}, timeout=5
        )
    log_exchange(response, response.content, 3)
    assert "s3cret" not in caplog.text
    assert f"Sent body {field}={MASK}&grant_type=x" in caplog.messages
    assert '"expires_in": 60' in caplog.text


def test_a_body_of_rows_is_told_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tap-acumatica")
    with requests_mock.Mocker() as server:
        server.get("https://host/S", text='{"value":[{"Code":"A","TermsCode":"B"}]}')
        response = requests.get("https://host/S", timeout=5)
    log_exchange(response, response.content, 3)
    assert caplog.messages[-1] == 'Body {"value":[{"Code":"A","TermsCode":"B"}]}'
