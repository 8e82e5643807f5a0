"""Decompression of bodies as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.deflate import GZIP, library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

decompressobj: Callable[..., Any] = library.decompressobj
GzipError: type[Exception] = library.error

PART_SIZE: Final = 1_048_576
"""Bytes that are decompressed at once at most, since a few bytes may hold gigabytes."""


def gunzipped(compressed: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a gzip file in parts of limited size, without an end that is missing.

    As other programs do, it goes on with each further member, and ignores what is none.

    Raises:
        GzipError: The first member is none, or damaged.
    """
    member = decompressobj(wbits=GZIP)
    is_first = True
    chunks = iter(compressed)
    for chunk in chunks:
        data = chunk
        while data:
            if member.eof:
                member, is_first = decompressobj(wbits=GZIP), False
            try:
                part = member.decompress(data, PART_SIZE)
            except GzipError:
                if is_first:
                    raise
                for _ in chunks:  # to the end, so that the connection can be used again
                    pass
                return
            if part:
                yield part
            data = member.unused_data if member.eof else member.unconsumed_tail
    if rest := member.flush():
        yield rest
