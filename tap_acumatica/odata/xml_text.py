"""Characters that XML does not allow, and that .NET writes nevertheless.

A document with one of them is refused by every parser. Labels and texts of users contain them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REFERENCE: Final = re.compile(rb"&#(?:x([0-9a-fA-F]{1,10})|([0-9]{1,10}));")
CHARACTERS: Final = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xed[\xa0-\xbf][\x80-\xbf]|\xef\xbf[\xbe\xbf]"
)
"""Matches them as they are encoded in UTF-8: controls, halves of characters and U+FFFE, U+FFFF."""
UNFINISHED: Final = re.compile(rb"(?:&[#x0-9a-fA-F]{0,12}|\xed[\xa0-\xbf]?|\xef\xbf?)\Z")
"""Matches the beginning of one at the end of a chunk."""
UNFINISHED_LENGTH: Final = 14
"""Greatest number of bytes of such a beginning."""
CONTROLS: Final = bytes({*range(0x20)} - {9, 10, 13})
BYTE_ORDER_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
"""They begin a document in UTF-16, which has no such bytes."""


def is_allowed(code: int) -> bool:
    """Whether XML allows a character."""
    if code < 0x20:  # noqa: PLR2004 - the first character that is not a control
        return code in {9, 10, 13}
    return code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF  # noqa: PLR2004 - as XML says


def without_forbidden(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a document in UTF-8 without the characters that XML does not allow."""
    rest, is_utf8 = b"", None
    for chunk in chunks:
        if is_utf8 is None and chunk:
            is_utf8 = not chunk.startswith(BYTE_ORDER_MARKS)
        if not is_utf8:
            yield chunk
            continue
        text = rest + chunk
        unfinished = UNFINISHED.search(text, max(len(text) - UNFINISHED_LENGTH, 0))
        end = unfinished.start() if unfinished else len(text)
        rest = text[end:]
        yield _repaired(text[:end])
    yield rest


def _repaired(text: bytes) -> bytes:
    # To look for a byte is ten times faster than to search for what may follow it.
    if b"&#" in text:
        text = REFERENCE.sub(_if_allowed, text)
    has_controls = len(text.translate(None, CONTROLS)) < len(text)
    if has_controls or b"\xed" in text or b"\xef\xbf" in text:
        text = CHARACTERS.sub(b"", text)
    return text


def _if_allowed(reference: re.Match[bytes]) -> bytes:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    return reference[0] if is_allowed(code) else b""
