"""Whether a page looks sorted, whatever the collation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.order import unordered

WORDS = st.lists(st.text(alphabet="aAbB09-_ ", max_size=6), min_size=10, max_size=40, unique=True)


def rows(keys: list[object]) -> list[dict[str, object]]:
    return [{"K": key} for key in keys]


@given(WORDS)
def test_no_collation_is_taken_for_disorder(words: list[str]) -> None:
    by_code = sorted(words)
    without_case = sorted(words, key=lambda word: (word.casefold(), word))
    without_hyphens = sorted(
        words, key=lambda w: ("".join(c for c in w.casefold() if c.isalnum()), w)
    )
    assert not unordered(rows([*without_case]), ("K",))
    assert not unordered(rows([*without_hyphens]), ("K",))
    upper = [word for word in by_code if word == word.upper()]
    assert not unordered(rows([*upper]), ("K",))


@pytest.mark.parametrize("key", [list(range(40)), [f"K{n:03}" for n in range(40)]])
def test_descending_order_is_disorder(key: list[object]) -> None:
    assert not unordered(rows(key), ("K",))
    assert unordered(rows(key[::-1]), ("K",))
    assert unordered(rows(key[::2] + key[1::2])[15:25], ("K",)) is False
    assert unordered(rows([k for pair in zip(key[20:], key, strict=False) for k in pair]), ("K",))


def test_few_rows_and_nulls_prove_nothing() -> None:
    assert not unordered(rows([3, 2, 1]), ("K",))
    assert not unordered(rows([None] * 30), ("K",))
