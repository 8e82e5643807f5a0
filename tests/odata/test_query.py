"""Queries arrive at the server with the options that were meant."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.expand import parse
from tap_acumatica.odata.query import Query, all_of

NAMES = st.text(st.characters(categories=["L", "N"], include_characters="_"), min_size=1)
# Characters and escapes that mean something else in a URL.
TEXTS = st.text() | st.text("'\"+&%#?=;/\\ $,():@<>|\n\t\u00e4\u20ac%20%27", min_size=1)
ENTITY = "PX_Objects_SO_SOOrder"


def received(query: str) -> dict[str, str]:
    """Parse the options that a server receives from `requests`."""
    url = requests.Request("GET", f"https://host/{ENTITY}?{query}").prepare().url
    assert url is not None
    assert urlsplit(url).fragment == ""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True))


@given(
    st.builds(
        Query,
        st.just(ENTITY),
        select=st.lists(NAMES, min_size=1, unique=True).map(tuple),
        filter=TEXTS.filter(bool),
        orderby=st.lists(NAMES, min_size=1).map(tuple),
        top=st.integers(0, 10_000),
        skip=st.integers(1),
        count=st.just(value=True),
    )
)
def test_a_query_is_received_as_it_was_meant(query: Query) -> None:
    assert received(query.string()) == {
        "$select": ",".join(query.select),
        "$filter": query.filter,
        "$orderby": ",".join(query.orderby),
        "$top": str(query.top),
        "$skip": str(query.skip),
        "$count": "true",
    }


@given(st.dictionaries(TEXTS.filter(bool), TEXTS.filter(bool), min_size=1))
def test_further_parameters_are_received_as_they_were_given(extra: dict[str, str]) -> None:
    assert received(Query(ENTITY, top=5).string(extra)) == {"$top": "5", **extra}


def test_what_is_not_asked_for_is_left_out() -> None:
    assert Query(ENTITY).string() == ""
    assert Query(ENTITY, count=False, skip=0, filter="").string({"branch": ""}) == ""


def test_no_rows_at_all_can_be_asked_for() -> None:
    assert Query(ENTITY, top=0).string() == "$top=0"


def test_a_query_can_be_read_in_the_log() -> None:
    query = Query(
        ENTITY, ("OrderNbr", "OrderType"), "OrderNbr gt 'A/1'", ("OrderNbr", "OrderType desc")
    )
    assert query.string() == (
        "$select=OrderNbr,OrderType&$filter=OrderNbr%20gt%20'A/1'"
        "&$orderby=OrderNbr,OrderType%20desc"
    )


@given(st.integers(0, 120))
def test_columns_are_left_out_where_the_query_would_be_too_long(max_length: int) -> None:
    query = Query(ENTITY, ("Column1", "Column2"), "Column1 gt 5", ("Column1",), top=5)
    fits = len(query.string()) <= max_length
    options = received(query.string({"extra": "x"}, max_length + len("&extra=x")))
    assert ("$select" in options) == fits
    assert options["$filter"] == query.filter
    assert options["$orderby"] == "Column1"
    assert options["extra"] == "x"


RELATED = parse("Lines(Qty,Item(Code))")


@pytest.mark.parametrize(
    ("max_length", "select", "expand"),
    [
        (None, "Column1,Column2", "Lines($select=Qty;$expand=Item($select=Code))"),
        (70, None, "Lines($select=Qty;$expand=Item($select=Code))"),
        (40, None, "Lines($expand=Item)"),
    ],
)
def test_related_records_are_asked_for_however_long_the_query(
    max_length: int | None, select: str | None, expand: str
) -> None:
    query = Query(ENTITY, ("Column1", "Column2"), expand=RELATED)
    options = received(query.string(max_length=max_length))
    assert options.get("$select") == select
    assert options["$expand"] == expand


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], ""),
        (["", ""], ""),
        (["a ge 1"], "a ge 1"),
        (["a ge 1", "", "b lt 2"], "a ge 1 and b lt 2"),
    ],
)
def test_conditions_are_joined(conditions: list[str], expected: str) -> None:
    assert all_of(*conditions) == expected
