"""Secrets are masked in everything that is logged, in every spelling."""

from __future__ import annotations

import io
import logging
from urllib.parse import quote, quote_plus

import pytest
import requests
import requests_mock
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.log import MASK, Masking, log_exchange
from tap_acumatica.odata.query import Query

SECRETS = st.text(
    st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=4
)


def masking(*secrets: str) -> Masking:
    masking = Masking()
    masking.add(secrets)
    return masking


@given(SECRETS)
def test_a_secret_is_masked_as_it_is_and_as_it_stands_in_an_address(secret: str) -> None:
    masks = masking(secret)
    request = requests.Request("GET", "https://host/?" + Query("Set").string({"key": secret}))
    url = request.prepare().url
    for text in (secret, quote(secret), quote_plus(secret), quote(secret, ""), url):
        assert text is not None
        assert masks.masked(f"<{text}>").endswith(f"{MASK}>")
        assert secret not in masks.masked(f"<{text}>")


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    masks = masking("pass", "password")
    assert masks.masked("a password, a pass") == f"a {MASK}, a {MASK}"
    masks.add(["password-2"])
    assert masks.masked("password-2") == MASK


def test_empty_secrets_mask_nothing() -> None:
    assert masking("").masked("text") == "text"


def logged(masks: Masking, message: str, *values: object) -> str:
    """Return what a handler with this filter writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(masks)
    record = logging.LogRecord("any", logging.INFO, __file__, 1, message, values, None)
    assert handler.handle(record)
    return stream.getvalue()


def test_the_values_of_a_message_are_masked() -> None:
    assert logged(masking("5ecret"), "GET %s after %.2f s", "/?key=5ecret", 0.5) == (
        f"GET /?key={MASK} after 0.50 s\n"
    )


def test_a_message_without_secrets_is_left_alone() -> None:
    assert logged(masking("5ecret"), "100 %% of %s", "it") == "100 % of it\n"
    assert logged(masking("5ecret"), "100 % of 5ecret") == f"100 % of {MASK}\n"


def test_the_trace_of_an_error_is_masked() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(masking("5ecret"))
    with pytest.raises(ValueError, match="5ecret") as raised:
        int("5ecret")
    exc_info = (raised.type, raised.value, raised.tb)
    handler.handle(logging.LogRecord("any", logging.ERROR, __file__, 1, "Trace", (), exc_info))
    assert "Traceback" in stream.getvalue()
    assert f"'{MASK}'" in stream.getvalue()
    assert "5ecret" not in stream.getvalue()


@pytest.mark.parametrize("password", ["simple", "sandbox-ä:p&ss", "日本"])
def test_sign_in_is_sent_in_utf_8_and_all_of_it_is_secret(password: str) -> None:
    auth = BasicAuth("odata", password)
    request = requests.Request("GET", "https://host", auth=auth.authorize()).prepare()
    header = request.headers["Authorization"]
    assert masking(*auth.secrets).masked(header) == f"Basic {MASK}"
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
    log_exchange(response, 3)
    assert "s3cret" not in caplog.text
    assert f"Sent body {field}={MASK}&grant_type=x" in caplog.messages
    assert '"expires_in": 60' in caplog.text


def test_a_body_of_rows_is_told_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tap-acumatica")
    with requests_mock.Mocker() as server:
        server.get("https://host/S", text='{"value":[{"Code":"A","TermsCode":"B"}]}')
        log_exchange(requests.get("https://host/S", timeout=5), 3)
    assert caplog.messages[-1] == 'Body {"value":[{"Code":"A","TermsCode":"B"}]}'
