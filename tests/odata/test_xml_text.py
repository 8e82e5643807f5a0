"""Documents lose the characters that XML does not allow, wherever they are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.xml_text import is_allowed, without_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable

PIECES = st.sampled_from(
    [
        *("&#x1F;", "&#31;", "&#x0;", "&#xFFFE;", "&#xD800;", "&#x110000;", "&#99999999;"),
        *(
            "&#x9;",
            "&#10;",
            "&#x41;",
            "&#xE9;",
            "&#x1F600;",
            "&amp;",
            "&lt;",
            "&#",
            "&#x",
            "&",
            ";",
        ),
        *(
            "\x1f",
            "\x00",
            "\ufffe",
            "\uffff",
            "\ufffd",
            "\U0001f600",
            "\ud7ff",
            "\ue000",
            "e",
            "1F",
        ),
    ]
)


def parsed(document: bytes) -> str:
    """The text of a document, as a parser of XML sees it."""
    texts: list[str] = []
    parser = expat.ParserCreate()
    parser.CharacterDataHandler = texts.append
    parser.Parse(document, True)  # noqa: FBT003 - expat's interface
    return "".join(texts)


def joined(chunks: Iterable[bytes]) -> bytes:
    return b"".join(without_forbidden(chunks))


@given(st.lists(PIECES).map("".join), st.lists(st.integers(0, 200)))
def test_it_does_not_matter_where_a_document_is_cut(text: str, cuts: list[int]) -> None:
    document = text.encode("utf-8", "surrogatepass")
    borders = sorted({0, len(document), *(cut for cut in cuts if cut < len(document))})
    chunks = [document[a:b] for a, b in pairwise(borders)]
    assert joined(chunks) == joined([document])


@given(st.integers(0, 0x110010), st.booleans())
def test_a_parser_accepts_what_is_left(code: int, decimal: bool) -> None:
    reference = f"&#{code};" if decimal else f"&#x{code:X};"
    document = f"<a>x{reference}y</a>".encode()
    expected = f"x{chr(code)}y" if is_allowed(code) else "xy"
    assert parsed(joined([document])) == expected
    assert (joined([document]) == document) == is_allowed(code)


@given(st.text(st.characters(codec="utf-8")))
def test_what_xml_allows_is_kept(text: str) -> None:
    allowed = "".join(character for character in text if is_allowed(ord(character)))
    assert joined([text.encode()]).decode() == allowed


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_other_encodings_are_left_alone(encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    document = mark + "<a>\u1f00\u0e1f</a>".encode(encoding)
    assert joined([document[:3], document[3:]]) == document
