"""Whether rows look as if the server had sorted them by their key.

How the server sorts text depends on a collation that it does not announce: with or without regard
to case, hyphens or punctuation. So a pair of rows is out of order only if it is by each of the
rules below, and a page is unsorted only if a good part of its pairs are out of order. Letters
beyond ASCII are not judged: collations place them anywhere, by sound or by strokes.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise, repeat
from operator import contains, gt, itemgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_acumatica.odata.payload.page import Row

MIN_PAIRS: Final = 9
"""Minimum number of pairs to draw a conclusion from."""

MAX_SHARE_UNSORTED: Final = 0.25
"""Share of pairs that may be out of order by the rules below, but in order by the server's."""

_PUNCTUATION: Final = [chr(code) for code in range(128) if not chr(code).isalnum()]
_PUNCTUATION_AS_BLANK: Final = {ord(sign): "" if sign in "-'" else " " for sign in _PUNCTUATION}
_WITHOUT_PUNCTUATION: Final = {ord(sign): "" for sign in _PUNCTUATION}

_RULES: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: text,
    lambda text: text.lower(),
    lambda text: text.lower().translate(_PUNCTUATION_AS_BLANK),
    lambda text: text.lower().translate(_WITHOUT_PUNCTUATION),
)
"""What collations compare, from byte by byte to letters and digits alone."""


def clearly_unsorted(rows: list[Row], key: tuple[str, ...]) -> bool:
    """Whether the rows cannot be in ascending order of their key."""
    values = [*map(itemgetter(*key), rows)]  # of one column no tuples
    has_nulls = None in values if len(key) == 1 else any(map(contains, values, repeat(None)))
    if not has_nulls and not any(map(gt, values, values[1:])):
        return False
    keys = [tuple([row[name] for name in key]) for row in rows]
    pairs = [pair for pair in pairwise(keys) if all(map(_is_judged, pair))]
    unsorted = sum(all(_out_of_order(pair, rule) for rule in _RULES) for pair in pairs)
    return len(pairs) >= MIN_PAIRS and unsorted > MAX_SHARE_UNSORTED * len(pairs)


def may_tie(row: Row, other: Row, names: Iterable[str]) -> bool:
    """Whether two rows stand at one place in the order by these columns, in some collation."""
    return all(without_style(row.get(name)) == without_style(other.get(name)) for name in names)


def without_style(value: Any) -> Any:  # noqa: ANN401 - values of any column
    """Return a text without what a collation may ignore: case, accents, blanks, punctuation."""
    if not isinstance(value, str):
        return value
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", value).casefold()))


def _is_judged(values: tuple[Any, ...]) -> bool:
    return not any(
        value is None or (isinstance(value, str) and not value.isascii()) for value in values
    )


def _out_of_order(pair: tuple[Any, Any], rule: Callable[[str], str]) -> bool:
    before, after = (
        tuple([rule(value) if isinstance(value, str) else value for value in values])
        for values in pair
    )
    return bool(before > after)
