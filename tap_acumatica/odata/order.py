"""Whether rows look as if the server had sorted them by their key.

How it sorts text depends on a collation that nobody tells: with or without regard to case, to
hyphens, to accents. So not one pair of rows decides, but most of a page.
"""

from __future__ import annotations

from itertools import pairwise
from operator import gt
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.payload import Row

FEWEST: Final = 9
"""Pairs of rows below which nothing is concluded."""

MOST_OFF: Final = 0.25
"""Share of the pairs that may be out of order by the rules below, and in order by the server's."""


def unordered(rows: list[Row], key: tuple[str, ...]) -> bool:
    """Whether the rows cannot be in ascending order of their key."""
    keys = [tuple([row[name] for name in key]) for row in rows]
    if not any(None in each for each in keys) and not any(map(gt, keys, keys[1:])):
        return False
    pairs = [pair for pair in pairwise(keys) if None not in pair[0] and None not in pair[1]]
    if len(pairs) < FEWEST:
        return False
    return all(_off(pairs, form) > MOST_OFF * len(pairs) for form in (_folded, _letters))


def _off(pairs: list[tuple[Any, Any]], form: Callable[[Any], Any]) -> int:
    return sum(tuple(map(form, before)) > tuple(map(form, after)) for before, after in pairs)


def _folded(value: Any) -> Any:  # noqa: ANN401 - of a key
    return value.casefold() if isinstance(value, str) else value


def _letters(value: Any) -> Any:  # noqa: ANN401 - of a key
    """Without what some collations pass over."""
    if not isinstance(value, str):
        return value
    return "".join(character for character in value.casefold() if character.isalnum())
