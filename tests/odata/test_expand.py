"""Expansions are parsed from the notation of the settings, and written in that of OData."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.expand import MAX_LEVELS, Expansion, option, parse

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)


def expansions(levels: int) -> st.SearchStrategy[Expansion]:
    deeper = st.lists(expansions(levels - 1), max_size=2) if levels > 1 else st.just([])
    return st.builds(Expansion, NAMES, st.lists(NAMES, max_size=2).map(tuple), deeper.map(tuple))


@given(st.lists(expansions(MAX_LEVELS), max_size=3), st.sampled_from([",", " ,\n "]))
def test_what_is_written_is_read_again(expected: list[Expansion], comma: str) -> None:
    text = ",".join(map(str, expected)).replace(",", comma).replace("(", " ( ")
    assert parse(text) == tuple(expected)


def test_within_parentheses_a_bare_name_is_a_column() -> None:
    assert parse("SOLineCollection(OrderQty,InventoryItemByInventoryID(InventoryCD),UOM)") == (
        Expansion(
            "SOLineCollection",
            ("OrderQty", "UOM"),
            (Expansion("InventoryItemByInventoryID", ("InventoryCD",)),),
        ),
    )


def test_empty_parentheses_mean_all_columns() -> None:
    assert parse("A") == parse("A()") == (Expansion("A"),)
    assert parse("A(B())") == (Expansion("A", (), (Expansion("B"),)),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A(", "not closed"),
        ("A(B", "not closed"),
        ("A)", "comma is missing after A"),
        ("(A)", r"unexpected '\('"),
        (",", "unexpected ','"),
        ("A(,B)", "unexpected ','"),
        ("A B", "comma is missing after A"),
        ("A(B)C", "comma is missing after A"),
        ("A($select=B)", r"unexpected '\$select=B\)'"),
        ("A(B(C(D())))", "D is nested deeper than 3 levels"),
        ("A(" * 100_000, "deeper than 3 levels"),
    ],
)
def test_what_is_no_list_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(text)


@given(st.text("AB(), ", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except ValueError:
        return
    assert parse(",".join(map(str, parsed))) == parsed


def test_it_is_asked_for_as_odata_has_it() -> None:
    expansions = parse("Lines(Qty,Item(Code,Stock(Site)),Item2()),Account(Code)")
    assert option(expansions) == (
        "Lines($select=Qty;$expand=Item($select=Code;$expand=Stock($select=Site)),Item2),"
        "Account($select=Code)"
    )
    assert option(expansions, select=False) == "Lines($expand=Item($expand=Stock),Item2),Account"


def test_a_column_is_taken_out_wherever_it_is() -> None:
    (lines,) = parse("Lines(Qty,Item(Code,Qty))")
    assert lines.selects("Qty")
    assert str(lines.without("Qty")) == "Lines(Item(Code))"
    assert not lines.without("Qty").selects("Qty")
