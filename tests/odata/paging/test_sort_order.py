"""Whether a page looks sorted, under any collation."""

from __future__ import annotations

import unicodedata
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.paging.sort_order import clearly_unsorted

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = st.lists(st.text(alphabet="aAbB09-_ ", max_size=6), min_size=10, max_size=40, unique=True)


def rows(keys: list[object]) -> list[dict[str, object]]:
    return [{"K": key} for key in keys]


@given(WORDS)
def test_no_collation_is_taken_for_disorder(words: list[str]) -> None:
    by_code = sorted(words)
    without_case = sorted(words, key=lambda word: (word.casefold(), word))
    without_hyphens = sorted(
        words, key=lambda word: ("".join(c for c in word.casefold() if c.isalnum()), word)
    )
    assert not clearly_unsorted(rows([*without_case]), ("K",))
    assert not clearly_unsorted(rows([*without_hyphens]), ("K",))
    upper = [word for word in by_code if word == word.upper()]
    assert not clearly_unsorted(rows([*upper]), ("K",))


@pytest.mark.parametrize("key", [list(range(40)), [f"K{n:03}" for n in range(40)]])
def test_descending_order_is_disorder(key: list[object]) -> None:
    assert not clearly_unsorted(rows(key), ("K",))
    assert clearly_unsorted(rows(key[::-1]), ("K",))
    assert clearly_unsorted(rows(key[::2] + key[1::2])[15:25], ("K",)) is False
    assert clearly_unsorted(
        rows([k for pair in zip(key[20:], key, strict=False) for k in pair]), ("K",)
    )


def test_few_rows_and_nulls_prove_nothing() -> None:
    assert not clearly_unsorted(rows([3, 2, 1]), ("K",))
    assert not clearly_unsorted(rows([None] * 30), ("K",))


def by_windows(text: str) -> list[tuple[int, str]]:
    """What Windows collations compare: no accents, no hyphens, punctuation before digits."""
    base = [c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)]
    compared = [c for c in "".join(base).casefold() if c not in "-'"]
    return [(c.isalnum() + c.isalpha(), c) for c in compared]


@pytest.mark.parametrize(
    ("words", "collation"),
    [
        (["Sales", "sales-dept", "O'Neil", "A/R", "#1", "IT_Ops", "2nd", "it ops"], by_windows),
        (["A_1", "A1", "A-1", "A/1", "a.1", "A 1"], by_windows),
        (["Ärzte", "arzt", "Össur", "oslo", "Émile", "edam", "zoo"], by_windows),
        (["上海", "北京", "广州", "深圳", "天津", "重庆"], "北广海京上深天重州圳津庆".find),
        (["iPad", "IPHONE", "ipod", "Imac", "x1", "X2"], str),
    ],
)
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("group", [3, 1000])
def test_real_looking_keys_in_order_are_not_taken_for_disorder(
    words: list[str], collation: Callable[[str], Any], seed: int, group: int
) -> None:
    random = Random(seed)
    texts = {" ".join(random.choices(words, k=random.randint(1, 2))) for _ in range(60)}
    keys = [(number // group, text) for number, text in enumerate(sorted(texts))]

    def sort_key(key: tuple[int, str]) -> Any:
        return key[0], [collation(word) for word in key[1].split()]

    in_order = [{"A": number, "B": text} for number, text in sorted(keys, key=sort_key)]
    for start in range(0, len(in_order), 10):
        assert not clearly_unsorted(in_order[start : start + 10], ("A", "B"))
    assert not clearly_unsorted(in_order, ("A", "B"))


@pytest.mark.parametrize("form", ["SO{:06}", "{:04}-A/{}", "It_{} {}"])
def test_keys_in_any_order_are_disorder(form: str) -> None:
    random = Random(1)
    keys: list[object] = [form.format(random.randrange(10**4), random.random()) for _ in range(40)]
    assert clearly_unsorted(rows(keys), ("K",))
