"""Whether rows look as if the server had sorted them by their key.

How it sorts text depends on a collation that nobody tells: with or without regard to case, to
hyphens, to punctuation. So a pair of rows is out of order only where it is by each of these rules,
and not one pair decides, but a good part of a page. Letters beyond ASCII are not judged: collations
put them anywhere, by sound or by strokes.
"""

from __future__ import annotations

from itertools import pairwise
from operator import gt
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.payload.page import Row

MIN_PAIRS: Final = 9
"""Pairs of rows below which nothing is concluded."""

MAX_SHARE_UNSORTED: Final = 0.25
"""Share of the pairs that may be out of order by the rules below, and in order by the server's."""

_SIGNS: Final = [chr(code) for code in range(128) if not chr(code).isalnum()]
_SIGNS_FIRST: Final = {ord(sign): "" if sign in "-'" else " " for sign in _SIGNS}
_NO_SIGNS: Final = {ord(sign): "" for sign in _SIGNS}

_RULES: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: text,
    lambda text: text.lower(),
    lambda text: text.lower().translate(_SIGNS_FIRST),
    lambda text: text.lower().translate(_NO_SIGNS),
)
"""What collations compare, from byte by byte to letters and digits alone."""


def clearly_unsorted(rows: list[Row], key: tuple[str, ...]) -> bool:
    """Whether the rows cannot be in ascending order of their key."""
    keys = [tuple([row[name] for name in key]) for row in rows]
    if not any(None in each for each in keys) and not any(map(gt, keys, keys[1:])):
        return False
    pairs = [pair for pair in pairwise(keys) if all(map(_judged, pair))]
    off = sum(all(_off(pair, rule) for rule in _RULES) for pair in pairs)
    return len(pairs) >= MIN_PAIRS and off > MAX_SHARE_UNSORTED * len(pairs)


def _judged(values: tuple[Any, ...]) -> bool:
    return not any(v is None or (isinstance(v, str) and not v.isascii()) for v in values)


def _off(pair: tuple[Any, Any], rule: Callable[[str], str]) -> bool:
    before, after = (
        tuple([rule(value) if isinstance(value, str) else value for value in values])
        for values in pair
    )
    return bool(before > after)
