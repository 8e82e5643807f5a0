"""Inputs of a fuzzer, and what a run of the tap makes of them.

Each input damages what a sandbox, a person or an earlier run would give: responses with their
headers and framing, metadata, answers about tokens, files and settings.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import resource
import signal
import sys
import zlib
from collections import Counter
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from hypothesis import strategies as st

from sandbox.instance import Instance
from sandbox.model import Model
from sandbox.variants import with_columns
from support.running import NOW, captured_stdout
from support.wire import SITE, Answer, Wire
from tap_acumatica.odata.masking import masking
from tap_acumatica.settings.schema import SCHEMA
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sandbox.http import Request

MAX_SECONDS: Final = 10
PATIENCE: Final = 12
MAX_GROWTH: Final = 250 * 1024 * 1024
"""Bytes of memory that a run may need."""

ENTITIES = ("Terms", "SOOrder")
LINES = ("SOLine",)
INQUIRY = "SO-Order Summary"
DEFECT = "This should not happen"

# What is put into texts and bodies

WORDS = [
    *(b"", b"<", b">", b"</", b"/>", b"&", b"&#x1;", b"&#0;", b"<![CDATA[", b"]]>", b"<!--"),
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"null", b"\x00", b"\xff", b"\xef\xbb\xbf"),
    *(b"\xed\xa0\x80", b"\\ud800", b"\xff\xfe", b"\r\n", b"\r\n\r\n", b"%", b"%00", b"\x1b[2J"),
    *(b"<!DOCTYPE x [<!ENTITY y 'z'>]>", b"xmlns=''", b"BaseType=", b"Collection(", b"m:null"),
    *(b"[" * 3_000, b'{"a":' * 3_000, b"<a>" * 3_000, b"9" * 5_000, b"A" * 70_000),
]
TEXTS = [
    *(
        "",
        " ",
        "\0",
        "\n",
        "/",
        "..",
        "%2e%2e",
        "..%5c..",
        "*",
        "[",
        "$",
        "@",
        "'",
        "''",
        "\\",
        "~",
    ),
    *("~nobody", "null", "é", "\u2028", "\U0001f600", "\x1b[31m", "[/red]", "a" * 300, "1" * 401),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999-14:00", "2026-02-30", "24:00:00"),
    *("0001-01-01T00:00:00+14:00", "2026-06-01T11:59:59.9Z", "2026-06-01", "P1D", "NaN", "INF"),
    *("http://[::1", "http://127.0.0.1:9/x", "//host/x", "https://other.example/", "x?$skip=2"),
    *("http://127.0.0.1:9/t/Company/api/odata/dac/x", "javascript:1", "http://a" + "b" * 70),
    *("Edm.String", "Edm.Int32", "Edm.DateTimeOffset", "Edm.Decimal", "Collection(Edm.String)"),
    *("LastModifiedDateTime", "OrderNbr", "TermsID", "PX.Objects.SO.SOOrder", "Company"),
    *("decimal(38,10)", "decimal(0,0)", "Europe/Oslo", "UTC", "../UTC", "America", "localtime"),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**31,
        2**63,
        -(2**63),
        10**401,
        0.5,
        1e308,
        [],
        {},
        [[]],
        [None],
    ),
    *([{}], {"": ""}, {"a": None}, {"a": [1]}, ["a", "a"], [0], {"\0": "\n"}),
    *({"Terms": ["*"]}, {"*": [["A"]]}, {"SOOrder": ["Customer"]}, {"Terms": None}),
]
LITERALS = [json.dumps(value).encode() for value in (*TEXTS, *VALUES)] + [
    *(b"1e999999999", b"-1e-999999999", b"-0", b"NaN", b"-Infinity", b"01", b'"\\ud800"'),
    *(b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b'"' + b"x" * 70_000 + b'"'),
]
LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|(?<=>)[^<]+(?=<)')


@dataclass(frozen=True)
class Edit:
    """A change of some bytes: of a literal if `literal` is set, else wherever.

    Attributes:
        place: Which literal, or where; counted round and round.
        cut: Number of bytes that are taken out.
        word: What is put in; None: a piece of the bytes themselves.
    """

    place: int
    cut: int
    word: bytes | None
    literal: bytes | None

    def apply(self, body: bytes) -> bytes:
        """Return the changed bytes."""
        if self.literal is not None:
            found = list(LITERAL.finditer(body, 0, 100_000))
            if found:
                start, end = found[self.place % len(found)].span()
                return body[:start] + self.literal + body[end:]
        start = self.place % (len(body) + 1)
        word = body[start // 2 : start // 2 + 40] if self.word is None else self.word
        return body[:start] + word + body[start + self.cut :]


edits = st.lists(
    st.builds(
        Edit,
        st.integers(0, 2**16),
        st.sampled_from([0, 0, 1, 2, 8, 100, 10**6]),
        st.none() | st.sampled_from(WORDS) | st.binary(max_size=3),
        st.none() | st.sampled_from(LITERALS),
    ),
    min_size=1,
    max_size=3,
)


def edited(body: bytes, changes: list[Edit]) -> bytes:
    """Return the bytes with all changes."""
    for change in changes:
        body = change.apply(body)
    return body


# Answers

STATUSES = [0, 99, 100, 103, 200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 405, 407]
STATUSES += [408, 409, 411, 412, 413, 414, 429, 431, 500, 501, 502, 503, 504, 520, 524, 599, 999]
HEADERS: Mapping[bytes, list[bytes]] = {
    b"Date": [
        *(b"Fri, 31 Dec 9999 23:59:59 GMT", b"Mon, 01 Jan 0001 00:00:00 +2359", b"soon", b""),
        *(b"Mon, 01 Jun 2026 12:00:00 +9999", b"Mon, 01 Jun 99999 12:00:00 GMT", b"-1"),
        *(b"Mon, 01 Jun 2026 25:61:61 GMT", b"Mon, 01 Jun 2026 12:00:00 -240000", b"\xff\xfe"),
    ],
    b"Retry-After": [b"0", b"9" * 401, b"-5", b"1e5", b"\xb2", b"Fri, 31 Dec 9999 23:59:59 GMT"],
    b"Content-Type": [
        *(b"text/html", b"application/json; charset=idna", b"text/plain; charset=punycode", b";"),
        *(b"application/atom+xml", b"application/json; charset=utf-16", b"application/xml", b""),
        *(b"text/html; charset=\x00", b"application/json; charset=base64", b"multipart/mixed"),
        b"application/json; charset=unicode_escape",
    ],
    b"Content-Encoding": [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"identity", b"x"],
    b"Set-Cookie": [
        *(b"", b"=", b"Locale=TimeZone=GMTE0000U", b"Locale=TimeZone=&Culture=", b"Locale=%ff"),
        *(
            b"ASP.NET_SessionId=x; Domain=other.example",
            b"a=b; Expires=Fri, 31 Dec 99999 0:0:0 GMT",
        ),
        *(
            b"Locale=TimeZone=GMTP9959X; Max-Age=" + b"9" * 401,
            b"\xff=\xfe; Path=\x01",
            b"x" * 9_999,
        ),
    ],
    b"Location": [b"", b"http://[::1", b"/x", b"?message=%00%ff", b"//[", b"http://a:99999999/"],
    b"OData-Version": [b"", b"3.0", b"4.01", b"x"],
    b"Connection": [b"close", b"upgrade", b"x"],
    b"WWW-Authenticate": [b"", b'Basic realm="\xff"', b"Negotiate", b"Digest nonce="],
    b"X" * 300: [b"y" * 9_000],
}


@dataclass(frozen=True)
class Framing:
    """How an answer is put on the wire, by a name in `FRAMINGS`."""

    name: str

    def apply(self, answer: Answer) -> None:
        """Frame the answer."""
        FRAMINGS[self.name](answer)


def _chunked(answer: Answer, chunk: bytes = b"%x\r\n%s\r\n", end: bytes = b"0\r\n\r\n") -> None:
    parts = [answer.body[start : start + 1_000] for start in range(0, len(answer.body), 1_000)]
    answer.framing = b"Transfer-Encoding: chunked\r\n"
    answer.body = b"".join(chunk % (len(part), part) for part in parts) + end


def _compressed(answer: Answer, name: bytes, body: bytes) -> None:
    answer.headers.append((b"Content-Encoding", name))
    answer.body = body


def _lengths(answer: Answer, *lengths: bytes, closes: bool = True) -> None:
    answer.framing = b"".join(b"Content-Length: %s\r\n" % length for length in lengths)
    answer.closes = closes


def _before(answer: Answer, text: bytes) -> None:
    answer.before = text


def _start(answer: Answer, text: bytes) -> None:
    answer.start = text


def _framing(answer: Answer, text: bytes, *, closes: bool = False) -> None:
    answer.framing, answer.closes = text, closes


def _nothing(answer: Answer) -> None:
    answer.start, answer.headers, answer.body = b"", [], b""
    _framing(answer, b"", closes=True)


GROWING = gzip.compress(b" " * 5_000_000, 1)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FRAMINGS: dict[str, Any] = {
    "chunks": _chunked,
    "chunks of a wrong size": lambda a: _chunked(a, b"%x9\r\n%s\r\n"),
    "chunks of no size": lambda a: _chunked(a, b"-%x\r\n%s\r\n"),
    "chunks of a size that is no number": lambda a: _chunked(a, b"_%xg;x\r\n%s\r\n"),
    "chunks without an end": lambda a: _chunked(a, end=b""),
    "chunks with a trailer": lambda a: _chunked(a, end=b"0\r\nX: y\r\nZ\r\n\r\n"),
    "chunks and a length": lambda a: _framing(
        a, b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", closes=True
    ),
    "gzip": lambda a: _compressed(a, b"gzip", gzip.compress(a.body)),
    "gzip that is cut": lambda a: _compressed(a, b"gzip", gzip.compress(a.body)[:-12]),
    "gzip that grows": lambda a: _compressed(a, b"gzip", gzip.compress(a.body) + GROWING),
    "gzip twice": lambda a: _compressed(a, b"gzip, gzip", gzip.compress(gzip.compress(a.body))),
    "gzip with more behind it": lambda a: _compressed(a, b"gzip", gzip.compress(a.body) + b"x"),
    "deflate": lambda a: _compressed(a, b"deflate", zlib.compress(a.body)),
    "deflate without a head": lambda a: _compressed(a, b"deflate", zlib.compress(a.body)[2:-4]),
    "two equal lengths": lambda a: _lengths(a, *[b"%d" % len(a.body)] * 2),
    "two lengths": lambda a: _lengths(a, b"%d" % len(a.body), b"7"),
    "a list of lengths": lambda a: _lengths(a, b"%d, 7" % len(a.body)),
    "a negative length": lambda a: _lengths(a, b"-1"),
    "a length that is no number": lambda a: _lengths(a, b"ten"),
    "an endless length": lambda a: _lengths(a, b"9" * 5_000),
    "a longer length": lambda a: _lengths(a, b"%d" % (len(a.body) + 9)),
    "a longer length that hangs": lambda a: _lengths(a, b"%d" % (len(a.body) + 9), closes=False),
    "a shorter length": lambda a: _lengths(a, b"%d" % (len(a.body) // 2)),
    "no length": lambda a: _framing(a, b"", closes=True),
    "no length that hangs": lambda a: _framing(a, b""),
    "no answer": _nothing,
    "continue": lambda a: _before(a, CONTINUE * 3),
    "continue endlessly": lambda a: _before(a, CONTINUE * 50_000),
    "the answer before once more": lambda a: _before(a, a.encoded()),
    "empty lines": lambda a: _before(a, b"\r\n\r\n"),
    "noise": lambda a: _before(a, b"\xff\x00SSH-2.0-x\r\n"),
    "no status": lambda a: _start(a, b"HTTP/1.1 "),
    "a status that is no number": lambda a: _start(a, b"HTTP/1.1 OK 200"),
    "a long status": lambda a: _start(a, b"HTTP/1.1 200000 OK"),
    "a negative status": lambda a: _start(a, b"HTTP/1.1 -20 OK"),
    "another version": lambda a: _start(a, b"HTTP/9.9 200 OK"),
    "HTTP 0.9": lambda a: _start(a, b"<html>"),
    "HTTP 1.0": lambda a: _start(a, b"HTTP/1.0 200 OK"),
    "no reason": lambda a: _start(a, b"HTTP/1.1 200"),
    "an odd reason": lambda a: _start(a, b"HTTP/1.1 200 \xff\x1b[2J"),
    "a long line": lambda a: _framing(a, b"X: " + b"y" * 70_000 + b"\r\n", closes=True),
    "a long head": lambda a: _framing(a, b"X: y\r\n" * 300_000, closes=True),
    "many headers": lambda a: _framing(a, b"X: y\r\n" * 150, closes=True),
    "a header without a name": lambda a: _framing(a, b": y\r\n", closes=True),
    "a header without a colon": lambda a: _framing(a, b"XY\r\n", closes=True),
    "a folded header": lambda a: _framing(a, b"X: y\r\n z\r\n", closes=True),
    "a NUL in a header": lambda a: _framing(a, b"X: \0\r\n\0: y\r\n", closes=True),
    "a head without an end": lambda a: _framing(a, b"X: y"),
}

BODIES = [
    *(b"", b" ", b"null", b"[]", b"{}", b"0", b'""', b"\xff", b"true", b'{"value":null}'),
    *(b'{"value":[]}', b'{"value":{}}', b'{"value":[[]]}', b'{"value":[null]}', b'{"d":[]}'),
    *(
        b'{"error":{}}',
        b'{"error":"invalid_grant"}',
        b'{"error":["x"]}',
        b'{"error":{"message":{}}}',
    ),
    *(b'{"odata.error":{"message":{"value":["x"]}}}', b'{"message":' + b"[" * 9_000, b"[" * 99_999),
    *(b'{"message":"API Login Limit"}', b'{"message":"The account is locked out."}'),
    *(b"{\"exceptionMessage\":\"Could not find a property named 'x' on type 'y'.\"}", b"<error/>"),
    *(b'{"message":"The limit of \'' + b"9" * 5_000 + b"' for Top query has been exceeded.\"}",),
    *(
        b"<html><body>Sign In</body></html>",
        b"<?xml version='1.0' encoding='x'?><a/>",
        b"<a>" * 9_999,
    ),
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b'{"value":[],"@odata.nextLink":"http://[::1"}'),
    *(b'{"access_token":"t"}', b'{"access_token":"","expires_in":"x"}', b'{"access_token":["t"]}'),
    *(b'{"access_token":"a\\nb\\u00e9\\ud83d\\ude00","expires_in":1e400,"scope":{"a":1}}',),
    *(b'{"access_token":"t","refresh_token":5,"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",),
    *(
        b'{"issuer":5,"token_endpoint":"http://[::1"}',
        b'{"token_endpoint":"http://127.0.0.1:9/x y"}',
    ),
]


@dataclass(frozen=True)
class Damage:
    """What is wrong with answers.

    Attributes:
        kinds: Kinds of the requests whose answers are damaged; empty: any.
        spared: Number of such answers that are whole first.
        times: Number of answers that are damaged.
    """

    kinds: frozenset[str] = frozenset()
    spared: int = 0
    times: int = 1
    status: int | None = None
    headers: tuple[tuple[str, bytes, bytes], ...] = ()
    body: bytes | None = None
    edits: tuple[Edit, ...] = ()
    framing: Framing | None = None

    def apply(self, request: Request, answer: Answer, seen: Counter[Damage]) -> None:
        """Damage an answer if it is one of those."""
        if self.kinds and request.kind not in self.kinds:
            return
        seen[self] += 1
        if not self.spared < seen[self] <= self.spared + self.times:
            return
        if self.status is not None:
            answer.start = b"HTTP/1.1 %d Status" % self.status
        if self.body is not None:
            answer.body = self.body
        answer.body = edited(answer.body, list(self.edits))
        for action, name, value in self.headers:
            if action != "add":
                answer.headers = [h for h in answer.headers if h[0].lower() != name.lower()]
            if action != "remove":
                answer.headers.append((name, value))
        if self.framing:
            self.framing.apply(answer)


@st.composite
def header_changes(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """A header that is set, added or removed."""
    name = draw(st.sampled_from(sorted(HEADERS)))
    value = draw(st.sampled_from(HEADERS[name]) | st.binary(max_size=20))
    return (draw(st.sampled_from(["set", "add", "remove"])), name, value.translate(None, b"\r\n"))


def damages(
    *kinds: str,
    body: bool = False,
    headers: bool = False,
    framing: bool = False,
) -> st.SearchStrategy[Damage]:
    """Return damages of answers to these kinds of requests, where they are switched on."""
    replaced = st.none() | st.none() | st.sampled_from(BODIES)
    return st.builds(
        Damage,
        st.just(frozenset(kinds)),
        st.sampled_from([0, 0, 0, 1] if len(kinds) == 1 else range(7)),
        st.sampled_from([1, 1, 2, 1_000]),
        st.none() | st.sampled_from(STATUSES) if headers else st.none(),
        st.lists(header_changes(), max_size=3).map(tuple) if headers else st.just(()),
        replaced if body else st.none(),
        edits.map(tuple) | st.just(()) if body else st.just(()),
        st.builds(Framing, st.sampled_from(sorted(FRAMINGS))) if framing else st.none(),
    )


# Inputs

COMMANDS = {
    "sync": (),
    "discover": ("--discover",),
    "check": ("check",),
    "check as JSON": ("check", "--format", "json"),
    "test": ("--test",),
}


@dataclass(frozen=True)
class Input:
    """What one run gets.

    Attributes:
        settings: Settings to change; a value of `REMOVED` leaves it out.
        files: Changes of the files `config`, `state`, `catalog`, `tokens` and `cache`.
    """

    command: str = "sync"
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    files: Mapping[str, list[Edit]] = field(default_factory=dict)
    damages: tuple[Damage, ...] = ()


CLASSES: dict[str, Any] = {"interfaces": ["dac"], "entities": list(ENTITIES)}
VARIANTS: dict[str, dict[str, Any]] = {
    "classes": CLASSES,
    "classes, several connections": CLASSES | {"max_pool_size": 4},
    "classes, small pages": CLASSES | {"page_size": 10, "verify_counts": True},
    "classes, tenants": CLASSES | {"tenants": ["Company"]},
    "classes, all that can be said": CLASSES | {"verbosity": 5},
    "inquiries": {"interfaces": ["gi"], "entities": [INQUIRY]},
    "inquiries, older": {"interfaces": ["gi"], "entities": [INQUIRY], "protocol_version": 3},
    "inquiries, feeds": {"interfaces": ["gi"], "entities": [INQUIRY], "data_format": "atom"},
    "related": CLASSES | {"expand": {"SOOrder": ["SOLineCollection"]}},
}
VARIANTS = {
    name: {key: value for key, value in changes.items() if key in SCHEMA["properties"]}
    for name, changes in VARIANTS.items()
}
variants = st.sampled_from(sorted(VARIANTS)).map(VARIANTS.__getitem__)
OAUTH = CLASSES | {"auth_method": "oauth", "entities": ["Terms"]}
TIMED = {"max_retry_time", "max_requests_per_minute", "pool_wait_time", "timeout"}
"""Settings that make a run wait: only what is no number is put into them."""


@st.composite
def setting_changes(draw: st.DrawFn) -> dict[str, Any]:
    """Settings with odd values."""
    changes: dict[str, Any] = {}
    properties = SCHEMA["properties"] | TapAcumatica.config_jsonschema["properties"]
    for name in draw(st.lists(st.sampled_from(sorted(properties)), min_size=1, max_size=4)):
        odd = st.sampled_from(TEXTS) | st.sampled_from(VALUES)
        texts = st.sampled_from(TEXTS)
        choices = [odd, st.lists(texts, max_size=3), st.dictionaries(texts, texts, max_size=2)]
        if enum := properties[name].get("enum"):
            choices.append(st.sampled_from(enum))
        value = draw(st.one_of(choices))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (name in TIMED and is_number):
            changes[name] = value
    return changes


def inputs(kind: str) -> st.SearchStrategy[Input]:
    """Return the inputs of a kind, which is a key of `KINDS`."""
    return KINDS[kind]


def _responses(
    damage: st.SearchStrategy[Damage], commands: Sequence[str] = tuple(COMMANDS)
) -> st.SearchStrategy[Input]:
    plain = st.builds(
        Input,
        st.sampled_from(["sync", *commands]),
        variants,
        damages=st.lists(damage, min_size=1, max_size=2).map(tuple),
    )
    with_files = st.builds(
        Input,
        st.just("sync"),
        st.just(CLASSES),
        st.sampled_from([frozenset({"catalog"}), frozenset({"catalog", "state"})]),
        damages=st.lists(damage, min_size=1, max_size=2).map(tuple),
    )
    return plain | with_files


def _files(*names: str, settings: dict[str, Any]) -> st.SearchStrategy[Input]:
    changes = st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries(dict.fromkeys(chosen, edits))
    )
    return st.builds(
        Input,
        st.sampled_from(["sync", "check"]),
        st.just(settings),
        st.just(frozenset(names)),
        changes,
    )


KINDS: dict[str, st.SearchStrategy[Input]] = {
    "bodies": _responses(damages("data", "count", "service", "other", body=True)),
    "headers": _responses(damages(headers=True, body=True)),
    "framings": _responses(damages(framing=True)),
    "metadata": _responses(damages("metadata", body=True)),
    "tokens": st.builds(
        Input,
        st.sampled_from(["sync", "check"]),
        st.sampled_from([OAUTH, OAUTH | {"token_file": None}]),
        st.sampled_from([frozenset(), frozenset({"tokens"})]),
        st.just({}),
        st.lists(
            damages("identity", body=True, headers=True) | damages("identity", framing=True),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    "files": _files("config", "state", "catalog", settings=CLASSES)
    | _files("tokens", settings=OAUTH)
    | _files("cache", settings=CLASSES | {"metadata_cache": "cache"}),
    "settings": st.builds(
        lambda command, settings, changes: Input(command, {**settings, **changes}),
        st.sampled_from(sorted(COMMANDS)),
        variants | st.just(OAUTH),
        setting_changes(),
    ),
}


# Runs


class Hung(BaseException):
    """A run did not end in time."""


@dataclass
class Outcome:
    """How a run ended."""

    code: Any
    out: bytes
    log: str
    growth: int
    """Bytes by which the run raised the most that this process has had."""

    def require_proper(self) -> None:
        """Fail unless the run ended with whole messages, or with a sentence."""
        assert DEFECT not in self.log, self.log
        assert DEFECT.encode() not in self.out, self.out
        assert "Traceback" not in self.log, self.log
        assert "ran out of memory" not in self.log, self.log
        assert self.code in {0, 1, 3, 75, 77, 78}, self.log
        lines = self.log.strip().splitlines()
        if self.code:
            assert any(line.endswith((".", "?")) for line in lines[-2:]), lines[-2:]
        if self.code == 0 and self.out.startswith(b'{"type"'):
            assert all(json.loads(line)["type"] for line in self.out.splitlines())
        assert self.growth < MAX_GROWTH


def peak_memory() -> int:
    """Return the most bytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


class Fuzzer:
    """A sandbox without a network, and the files of runs against it, as they would be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.box = box = Instance(now=NOW, rows=20)
        box.app.site = SITE
        for tenant, model in box.service.models.items():
            box.service.models[tenant] = _small(model)
        self._files: dict[str, bytes] = {}
        self._record()

    def _record(self) -> None:
        """Keep the files that good runs write."""
        settings = CLASSES | {"metadata_cache": str(self._folder / "cache")}
        self._files["config"] = json.dumps(self._settings(settings)).encode()
        catalog = self.run(Input("discover", settings))
        assert catalog.code == 0, catalog.log
        self._files["catalog"] = catalog.out.replace(b'"selected":false', b'"selected":true')
        synced = self.run(Input("sync", settings))
        assert synced.code == 0, synced.log
        states = [
            m["value"] for m in map(json.loads, synced.out.splitlines()) if m["type"] == "STATE"
        ]
        self._files["state"] = json.dumps(states[-1]).encode()
        (cache,) = self._folder.joinpath("cache").glob("*-dac-*")
        self._cache = cache
        self._files["cache"] = cache.read_bytes()
        assert self.run(Input("sync", OAUTH)).code == 0
        self._files["tokens"] = self._folder.joinpath("tokens.json").read_bytes()

    def _settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        box = self.box
        by_password = {"username": box.username, "password": box.password}
        base: dict[str, Any] = {"url": SITE, "max_retry_time": 0}
        if changes.get("metadata_cache") == "cache":
            changes = {**changes, "metadata_cache": str(self._folder / "cache")}
        if changes.get("auth_method") != "oauth":
            return {**base, **by_password, **changes}
        base |= {"client_id": box.client_id, "client_secret": box.client_secret}
        if changes.get("token_file", True):
            base["token_file"] = str(self._folder / "tokens.json")
            base["refresh_token"] = box.grant().refresh_token
        else:
            base |= by_password
        return {**base, **changes}

    def run(self, given: Input) -> Outcome:
        """Run the command with an input, in this process."""
        self.box.end_sessions()
        self.box.reset_counters()
        self.box.identity.grants.clear()
        settings = self._settings(given.settings)
        arguments = [*COMMANDS[given.command]]
        files = {"config": json.dumps(settings).encode()}
        self._folder.joinpath("tokens.json").unlink(missing_ok=True)
        for name in given.given:
            files[name] = files.get(name) or self._files[name]
        for name, changes in given.files.items():
            files[name] = edited(files[name], changes)
        for name, content in files.items():
            self._write(name, content)
        arguments += ["--config", str(self._folder / "config.json")]
        if "catalog" in given.given:
            arguments += ["--catalog", str(self._folder / "catalog.json")]
        if "state" in given.given and given.command == "sync":
            arguments += ["--state", str(self._folder / "state.json")]
        seen: Counter[Damage] = Counter()

        def damage(_: int, request: Request, answer: Answer) -> None:
            for each in given.damages:
                each.apply(request, answer, seen)

        return self._run(arguments, Wire(self.box.app, damage))

    def _write(self, name: str, content: bytes) -> None:
        if name == "cache":
            body = content[32:]
            # Without a proper digest nothing would be looked at.
            self._cache.write_bytes(sha256(body).digest() + body)
        else:
            path = self._folder / f"{name}.json"
            path.write_bytes(content)
            path.chmod(0o600)

    @staticmethod
    def _run(arguments: list[str], wire: Wire) -> Outcome:
        code: Any = None
        log = io.StringIO()
        before = peak_memory()
        with (
            patch("urllib3.util.connection.create_connection", wire.connect),
            redirect_stderr(log),
            own_log(),
            captured_stdout() as raw,
            patch.object(masking, "_secrets", frozenset()),
            limited(MAX_SECONDS),
        ):
            try:
                TapAcumatica.cli(arguments)
            except SystemExit as end:
                code = end.code or 0
            sys.stdout.flush()
            out = raw.getvalue()
        return Outcome(code, out, log.getvalue(), peak_memory() - before)


@contextmanager
def own_log() -> Iterator[None]:
    """Take away what a run changes of the loggers."""
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("urllib3", "tap-acumatica"))]
    levels = [each.level for each in loggers]
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `Hung` in the main thread after so much time at work, or a multiple of it in all.

    On a busy machine a run may have to wait long for its turn.
    """

    def hang(*_: object) -> None:
        raise Hung

    limits = {
        signal.ITIMER_PROF: (signal.SIGPROF, seconds),
        signal.ITIMER_REAL: (signal.SIGALRM, PATIENCE * seconds),
    }
    before = {number: signal.signal(number, hang) for number, _ in limits.values()}
    for timer, (_, limit) in limits.items():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer in limits:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _small(model: Model) -> Model:
    """Return the model with few types and columns, one of each type, so that runs are short."""
    wanted = [model.find(name) for name in (*ENTITIES, *LINES)]
    kept = {base.name for entity_type in wanted for base in entity_type.bases}
    kept |= {entity_type.name for entity_type in wanted}
    small = Model(tuple(each for each in model.types if each.name in kept))
    for entity_type in wanted:
        columns = {column.type: column.name for column in entity_type.properties}.values()
        needed = {*entity_type.own_key, *columns, "LastModifiedDateTime"}
        others = [each.name for each in entity_type.properties if each.name not in needed]
        small = with_columns(small, entity_type.name, others, {}, {})
    return small
