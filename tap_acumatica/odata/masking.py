"""Masks secrets in all that the tap says, and makes control characters visible.

What a server says can repeat a secret in a spelling of its own, and can hold characters that
steer a terminal or begin a new line of a log. `shown` is the one way out for log records, error
messages and the findings of a check. Singer messages, catalogs and caches hold no secrets, and
are never masked.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html.entities import codepoint2name
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK: Final = "***"

MIN_SECRET_LENGTH: Final = 4
"""Characters of the shortest secret that is masked wherever it stands: a shorter one would garble
ordinary words, and is masked by its place alone."""

MAX_SPELLED_LENGTH: Final = 2_048
"""Characters of a secret that are looked for in each spelling, which takes time and memory: what
follows so many of them is masked to the end of the text, whatever it is."""

_FORM_FIELD: Final = r"(?<=[?&\s]{}=)[^&\s]*"
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


_SHORT_ESCAPES: Final = {
    **dict(zip("\"'/", "\"'/", strict=True)),
    **dict(zip("\b\f\n\r\t", "bfnrt", strict=True)),
}
"""What JSON and Python write behind a backslash."""


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
        pattern = _pattern(self._secrets, self._parameters)
        text = pattern.sub(MASK, text) if pattern else text
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


@lru_cache(maxsize=8)
def _pattern(secrets: frozenset[str], parameters: frozenset[str]) -> re.Pattern[str] | None:
    """Return the pattern of all secrets, in all spellings; None if there are none."""
    texts = [_spelled(secret) for secret in sorted(secrets, key=len, reverse=True)]
    fields = [_FORM_FIELD.format(re.escape(name)) for name in sorted(parameters)]
    return re.compile("|".join([*texts, *fields])) if texts or fields else None


def _spelled(secret: str) -> str:
    """Return the pattern of a text in all its spellings.

    Blanks may have been collapsed on the way, and backslashes doubled.
    """
    parts = []
    known = secret[:MAX_SPELLED_LENGTH]
    for stretches, characters in groupby(known, lambda c: "\\" if c == "\\" else c.isspace()):
        spellings = [_spellings(character) for character in characters]
        if stretches:
            spellings = [f"(?:{'|'.join(dict.fromkeys(spellings))})+"]
        parts += spellings
    return "".join(parts) + (r"[\s\S]*" if len(secret) > len(known) else "")


@lru_cache(maxsize=1024)
def _spellings(character: str) -> str:
    """Return the pattern of a character: as it is, and as URLs, JSON, Python and HTML write it."""
    if character.isascii() and character.isalnum():
        return character
    code, named = ord(character), codepoint2name.get(ord(character), "apos")
    utf_16 = character.encode("utf-16-be", "surrogatepass").hex()
    encodings = (character.encode("utf-8", "surrogatepass"), character.encode("latin-1", "ignore"))
    spellings = [
        *("".join(f"%{byte:02x}" for byte in encoded) for encoded in encodings if encoded),
        "".join(rf"\\+u{utf_16[i : i + 4]}" for i in range(0, len(utf_16), 4)),
        rf"\\+x{code:02x}",
        rf"\\+U{code:08x}",
        f"&#0*{code};",
        f"&#x0*{code:x};",
        f"&{named};",
    ]
    if character in _SHORT_ESCAPES:
        spellings.append(rf"\\+{_SHORT_ESCAPES[character]}")
    if character.isspace():
        spellings += [r"\s", r"\+"]
    return f"(?:{re.escape(character)}|(?i:{'|'.join(spellings)}))"
