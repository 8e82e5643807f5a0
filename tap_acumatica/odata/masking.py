"""Masks secrets in all that the tap says, and makes control characters visible.

What a server says can repeat a secret in a spelling of its own, and can hold characters that
steer a terminal or begin a new line of a log. `shown` is the one way out for log records, error
messages and the findings of a check. Singer messages, catalogs and caches hold no secrets, and
are never masked.
"""

from __future__ import annotations

import re
import sys
from array import array
from functools import lru_cache
from html.entities import name2codepoint
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "***"

MIN_SECRET_LENGTH: Final = 4
"""Characters of the shortest secret that is masked wherever it stands: a shorter one would garble
ordinary words, and is masked by its place alone."""

MAX_SPELLINGS: Final = 4
"""Times that a text may have been spelled anew on its way, each time with all that was there."""

_BLANK: Final = (
    r"(?:[\s+\x1c-\x1f]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f"
    r"|\xe3\x80\x80)"
)
_CODE: Final = (
    r"u(?P<pair>d[89ab][0-9a-f]{2}\\+ud[c-f][0-9a-f]{2})|(?-i:u)(?P<u>[0-9a-f]{4})"
    r"|(?-i:U)(?P<U>[0-9a-f]{8})|x(?P<x>[0-9a-f]{2})"
)
_SPELLED: Final = re.compile(
    "|".join(
        (
            rf"\\+(?:{_CODE}|(?P<short>[bfnrt]))?",
            r"%(?P<byte>[0-9a-f]{2})",
            r"&(?:#0*(?P<decimal>\d{1,7})|#x0*(?P<hex>[0-9a-f]{1,6})|(?P<name>[a-z]{2,8}));",
            rf"(?! (?!{_BLANK})){_BLANK}+",
        )
    ).encode("ascii"),
    re.IGNORECASE,
)
"""What URLs, JSON, Python and HTML write in place of a character, and blanks. Blanks may have been
collapsed on the way, and backslashes doubled or taken away."""

_FURTHER_BYTES: Final = range(0x80, 0xC0)
"""Bytes of UTF-8 that go on with a character."""

_NAMED: Final = {**name2codepoint, "apos": ord("'")}

_PARAMETER: Final = r"(?<=[?&\s]{}=)[^&\s]*"
_SECRET_FIELDS: Final = re.compile(
    r"""(?P<form>\b(?:{names})=)[^&"\s]+|(?P<json>"(?:{names})"\s*:\s*")(?:\\.|[^"\\])+""".format(
        names="password|client_secret|client_assertion|refresh_token|access_token|id_token|token"
        "|code|code_verifier"
    )
)
"""Fields that always hold a secret, in a form, a URL or a JSON object."""

_USER_INFO: Final = re.compile(r"(?<=://)[^\s/@]+@")
"""The user name and the password of an address, such as a proxy's."""

_STEERING: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Characters that move a terminal's cursor, begin a line or turn the direction of writing."""


class Masking:
    """The secrets of this process, and where a secret can stand.

    Attributes:
        headers: Names of headers, in lower case, whose values are masked whatever they are.
    """

    def __init__(self) -> None:
        self.headers = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
        self._parameters: frozenset[str] = frozenset()
        self._secrets: frozenset[str] = frozenset()

    def add(
        self,
        secrets: Iterable[str] = (),
        *,
        headers: Iterable[str] = (),
        parameters: Iterable[str] = (),
    ) -> None:
        """Mask these secrets from now on.

        Args:
            secrets: Texts to mask wherever they stand, in any spelling that is common on the way
                of a text through URLs, JSON and HTML; those that are too short are left out.
            headers: Headers to mask by their name.
            parameters: Parameters of URLs to mask by their name.
        """
        stripped = map(str.strip, secrets)
        self._secrets |= {secret for secret in stripped if len(secret) >= MIN_SECRET_LENGTH}
        self.headers |= {name.lower() for name in headers}
        self._parameters |= {*parameters}

    def masked(self, text: str) -> str:
        """Return the text with all secrets masked."""
        spans = [*_secret_spans(text, self._secrets), *_value_spans(text, self._parameters)]
        text = _without(text, spans) if spans else text
        return _USER_INFO.sub(f"{MASK}@", text) if "://" in text else text

    def masked_fields(self, text: str) -> str:
        """Return a body with all secrets masked, and all fields that always hold one."""
        return _SECRET_FIELDS.sub(
            lambda match: f"{match['form'] or match['json']}{MASK}", self.masked(text)
        )

    def masked_header(self, name: str, value: str) -> str:
        """Return the value of a header, masked."""
        return MASK if name.lower() in self.headers else self.masked(value)


masking: Final = Masking()
"""The secrets of this process."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return the text with control characters as escapes such as `\x1b`.

    Args:
        text: Words of a server, for example.
        lines: Whether line breaks and tabs stay, as in a traceback.
    """
    return _STEERING.sub(
        lambda match: match[0] if lines and match[0] in "\n\t" else _escape(match[0]), text
    )


def shown(text: str) -> str:
    """Return a text as a log, a terminal or a page may show it: masked, visible, one line."""
    return visible(masking.masked(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


Span = tuple[int, int]
"""Where characters of a text begin and end."""


def _without(text: str, spans: Iterable[Span]) -> str:
    """Return the text with a mask in place of each stretch of it that some spans cover."""
    parts, behind = [], -1
    for start, end in sorted(spans):
        if start > behind:
            parts += [text[max(behind, 0) : start], MASK]
        behind = max(behind, end)
    return "".join([*parts, text[max(behind, 0) :]])


def _value_spans(text: str, parameters: frozenset[str]) -> Iterator[Span]:
    """Return where the values of parameters stand in the addresses of a text."""
    for name in parameters:
        for match in re.finditer(_PARAMETER.format(re.escape(name)), text):
            yield match.span()


def _secret_spans(text: str, secrets: frozenset[str]) -> Iterator[Span]:
    """Return where secrets stand in a text, in any spelling: they may overlap.

    A secret may itself look like a spelling of something else, so each reading of it is looked for
    in each reading of the text. This takes time in proportion to the text, whatever stands in it.
    """
    readings = _readings_of_secrets(secrets)
    for read in _readings(text) if readings else ():
        for reading in readings:
            at = read.data.find(reading)
            while at >= 0:
                yield read.span(at, at + len(reading))
                at = read.data.find(reading, at + 1)


@lru_cache(maxsize=8)
def _readings_of_secrets(secrets: frozenset[str]) -> frozenset[bytes]:
    readings = {read.data for secret in secrets for read in _readings(secret)}
    readings |= {_in_latin_1(secret) for secret in secrets}
    return frozenset(each for each in readings if each.strip())


def _in_latin_1(secret: str) -> bytes:
    """Return a text as an old web server puts it into an address; empty if it can't."""
    try:
        return secret.encode("latin-1")
    except UnicodeEncodeError:
        return b""


class _Reading(NamedTuple):
    """A text with spellings read, as UTF-8.

    Attributes:
        data: The bytes.
        starts: For each byte, where the characters that stand for it begin in the text; at last,
            where the text ends.
        ends: For each byte, where they end.
    """

    data: bytes
    starts: array[int]
    ends: array[int]

    def span(self, start: int, end: int) -> Span:
        """Return where bytes stand in the text, with the backslashes around them."""
        first = min(self.starts[start], self.ends[start - 1] if start else 0)
        return first, max(self.starts[end], self.ends[end - 1])

    def read_once_more(self) -> _Reading:
        """Return the text with the spellings read that this reading has brought to light."""
        data, starts, ends = bytearray(), array("L"), array("L")
        done = 0
        for match in _SPELLED.finditer(self.data):
            start, end = match.span()
            data += self.data[done:start]
            starts += self.starts[done:start]
            ends += self.ends[done:start]
            read = _read(match)
            data += read
            starts.extend([self.starts[start]] * len(read))
            ends.extend([self.ends[end - 1]] * len(read))
            done = end
        data += self.data[done:]
        return _Reading(bytes(data), starts + self.starts[done:], ends + self.ends[done:])


def _readings(text: str) -> Iterator[_Reading]:
    """Return the text as it is, then with its spellings read, as often as they may be nested."""
    data = text.encode("utf-8", "surrogatepass")
    ends = array("L", accumulate(byte not in _FURTHER_BYTES for byte in data))
    starts = array("L", (end - 1 for end in ends))
    starts.append(len(text))
    reading = _Reading(data, starts, ends)
    yield reading
    for _ in range(MAX_SPELLINGS):
        further = reading.read_once_more()
        if further.data == reading.data:
            break
        yield further
        reading = further


def _read(match: re.Match[bytes]) -> bytes:
    """Return what a spelling stands for; a backslash that spells nothing stands for nothing."""
    kind = match.lastgroup
    if kind is None:
        return b"" if match[0].startswith(b"\\") else b" "
    value = match[kind].decode("ascii")
    if kind == "byte":
        return bytes.fromhex(value)
    if kind == "short":
        return b"\b" if value in "bB" else b" "
    if kind == "pair":
        return bytes.fromhex(value[:4] + value[-4:]).decode("utf-16-be").encode()
    if kind == "name":
        code = _NAMED.get(value, _NAMED.get(value.lower()))
    else:
        code = int(value, 10 if kind == "decimal" else 16)
    if code is None or code > sys.maxunicode:
        return match[0]
    return b" " if chr(code).isspace() else chr(code).encode("utf-8", "surrogatepass")
