"""Bodies are decompressed as urllib3 does it, whichever library is installed."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest
import urllib3
from hypothesis import event, given
from hypothesis import strategies as st

from tap_acumatica.odata.http import gunzip

ENDS = st.sampled_from([b"", b"", b"\0" * 20, b"more", b"\x1f\x8b", b"\x1f\x8b\x08" + b"x" * 30])


def content(library: Any, sent: bytes, size: int) -> bytes | None:
    """Return what a body holds that arrives in chunks of a size; None if it is refused."""
    chunks = [sent[at : at + size] for at in range(0, len(sent), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gunzip, "decompressobj", library.decompressobj)
        patch.setattr(gunzip, "GzipError", library.error)
        patch.setattr(gunzip, "PART_SIZE", 1_000)
        try:
            parts = [*gunzip.gunzipped(chunks)]
        except library.error:
            return None
    # Where the end is missing, what is left in the library comes at once.
    assert max(map(len, parts[:-1]), default=0) <= 1_000
    return b"".join(parts)


def expected(sent: bytes) -> bytes | None:
    """Return the same as urllib3 sees it."""
    response = urllib3.HTTPResponse(
        io.BytesIO(sent), {"Content-Encoding": "gzip"}, preload_content=False
    )
    try:
        return response.read()
    except urllib3.exceptions.DecodeError:
        return None


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a file of a few members, which may be followed by others, cut off or damaged."""
    contents = st.binary(max_size=200) | st.sampled_from([1, 5_000]).map(lambda n: b"row," * n)
    members = draw(st.lists(contents, min_size=1, max_size=3))
    first, *others = [gzip.compress(member, mtime=0) for member in members]
    sent = b"".join([first, *others]) + draw(ENDS)
    match draw(st.sampled_from(["whole", "cut", "damaged"])):
        case "cut":
            return sent[: draw(st.integers(0, len(sent)))]
        case "damaged":
            # How much of another member is read before its damage shows is up to chance.
            at = draw(st.integers(0, len(first) - 1))
            return sent[:at] + draw(st.binary(min_size=1, max_size=1)) + sent[at + 1 :]
    return sent


@pytest.mark.parametrize("name", ["zlib", "isal.isal_zlib"])
@given(sent=bodies(), size=st.sampled_from([1, 7, 100, 100_000]))
def test_a_body_is_decompressed_as_urllib3_does(name: str, sent: bytes, size: int) -> None:
    found, wanted = content(pytest.importorskip(name), sent, size), expected(sent)
    event(f"decompressed: {wanted is not None}")
    # One may still wait for the rest of codes of which the other one knows that they are none.
    assert found == wanted or (name != "zlib" and None in {found, wanted})
