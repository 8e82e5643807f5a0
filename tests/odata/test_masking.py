"""Secrets are masked in every spelling, and control characters never reach a terminal."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_acumatica.odata.masking import MASK, MIN_SECRET_LENGTH, Masking, shown, visible
from tap_acumatica.odata.query import Query

if TYPE_CHECKING:
    from collections.abc import Callable


def _lower_hex(text: str) -> str:
    return re.sub("%..", lambda match: match[0].lower(), text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "part of a URL": lambda secret: quote(secret, ""),
    "path": quote,
    "form": quote_plus,
    "query of the tap": lambda secret: Query("Set").string({"key": secret}),
    "lower-case hex": lambda secret: _lower_hex(quote(secret, "")),
    "Latin-1 in a URL": lambda secret: quote(secret, "", "latin-1", "ignore"),
    "JSON": json.dumps,
    "JSON of letters": lambda secret: json.dumps(secret, ensure_ascii=False),
    "JSON with upper-case hex": lambda secret: re.sub(
        r"\\u(....)", lambda match: rf"\u{match[1].upper()}", json.dumps(secret)
    ),
    "JSON within JSON": lambda secret: json.dumps(json.dumps({"key": secret})),
    "JSON with escaped slashes": lambda secret: json.dumps(secret).replace("/", r"\/"),
    "Python": repr,
    "ASCII of Python": ascii,
    "headers of Python": lambda secret: str({"X-Key": secret}),
    "HTML": html.escape,
    "HTML of ASCII": lambda secret: (
        html.escape(secret).encode("ascii", "xmlcharrefreplace").decode()
    ),
    "HTML in hex": lambda secret: "".join(
        char if char.isascii() and char.isalnum() else f"&#x{ord(char):04X};" for char in secret
    ),
    "words without their blanks": lambda secret: re.sub(r"\s+", " ", secret),
}

CHARACTERS = st.characters(codec="utf-8") | st.sampled_from("aA0 \t\"'\\/<>&%+-_.=;:@äß日😀")
SECRETS = st.text(CHARACTERS, min_size=MIN_SECRET_LENGTH).filter(
    lambda secret: len(secret.strip()) >= MIN_SECRET_LENGTH
)


def masking(*secrets: str) -> Masking:
    masking = Masking()
    masking.add(secrets)
    return masking


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(secret=SECRETS)
@example(secret="pä ss\\\"w'o/r<b>d&1")
@example(secret="\\\\\\\\a\\")
@example(secret='""""')
def test_a_secret_is_masked_however_it_is_spelled(spelling: str, secret: str) -> None:
    if spelling == "Latin-1 in a URL":
        secret = secret.encode("latin-1", "replace").decode("latin-1")
    text = SPELLINGS[spelling](secret)
    around = text.strip("\"'") or text
    # No part of the secret, so that what is masked must end there.
    border = next(char for char in map(chr, range(0x2460, 0x24FF)) if char not in secret)
    masked = masking(secret).masked(f"{border}{text}{border}")
    assert around not in masked
    assert MASK in masked
    assert masked.startswith(border)
    assert masked.endswith(border)


@given(st.lists(SECRETS, min_size=2, max_size=4))
@example(["0000", "<000"])
def test_each_of_many_secrets_is_masked(secrets: list[str]) -> None:
    masks = masking(*secrets)
    for secret in secrets:
        assert masks.masked(f"<{secret.strip()}>").replace(MASK, "") in {"<>", "<", ">", ""}


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    masks = masking("pass", "password")
    assert masks.masked("a password, a pass") == f"a {MASK}, a {MASK}"
    masks.add(["password-2"])
    assert masks.masked("password-2") == MASK


def test_a_secret_of_any_length_is_masked() -> None:
    secret = "[é" * 50_000
    for spelling in (str, json.dumps, quote):
        assert masking(secret).masked(f"a <{spelling(secret).strip(chr(34))}>") == f"a <{MASK}>"


@pytest.mark.parametrize(
    "part", ["\\", "\\\\x5c", "\\x5c", "%25", "25", "&#", "&amp;", " ", "+", "0"]
)
@pytest.mark.parametrize("secret", ["\\zzz", "a b", "%25%25", "0000000000"])
def test_a_text_that_repeats_what_secrets_begin_with_takes_no_time(part: str, secret: str) -> None:
    """A pattern of all spellings took a minute for 2,000 backslashes."""
    text = f"%{part * 50_000}<"
    assert masking(secret).masked(text).endswith("<")


@given(st.text(max_size=MIN_SECRET_LENGTH - 1))
def test_what_is_too_short_to_be_told_from_words_is_masked_by_its_place_alone(short: str) -> None:
    masks = masking(short)
    masks.add(headers=["X-Key"], parameters=["sig"])
    assert masks.masked("http and text") == "http and text"
    assert masks.masked_header("x-key", short) == MASK
    assert masks.masked_header("X-Other", "http") == "http"
    assert masks.masked(f"GET /?a=1&sig={quote(short, '')}&b=2") == f"GET /?a=1&sig={MASK}&b=2"


def test_the_password_in_an_address_is_masked() -> None:
    text = "proxy http://me:s3cret@proxy.example:3128 refused https://erp.example/a@b"
    expected = f"proxy http://{MASK}@proxy.example:3128 refused https://erp.example/a@b"
    assert Masking().masked(text) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("password=s3cret&grant_type=x", f"password={MASK}&grant_type=x"),
        (r'{"token": "a\"b c", "expires_in": 60}', f'{{"token": "{MASK}", "expires_in": 60}}'),
        ('{"value":[{"Code":"A","TermsCode":"B"}]}', '{"value":[{"Code":"A","TermsCode":"B"}]}'),
    ],
)
def test_fields_that_always_hold_a_secret_are_masked_whole(body: str, expected: str) -> None:
    assert Masking().masked_fields(body) == expected


@given(st.text())
def test_what_is_shown_is_one_line_that_steers_no_terminal(text: str) -> None:
    line = shown(f"{text}\x1b[2J\x9b\x07\u2028")
    assert line.splitlines() == [line]
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)


def test_words_stay_as_they_are() -> None:
    assert visible("Company [/B], Ärger 日本 😀") == "Company [/B], Ärger 日本 😀"
    assert visible("a\x1b[31m\r\nb\u202e") == r"a\x1b[31m\r\nb\u202e"
    assert visible("Traceback:\n\tat \x1b", lines=True) == "Traceback:\n\tat \\x1b"
