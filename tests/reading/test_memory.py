"""A few characters remember which columns a stream was read with."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata import edm
from tap_acumatica.reading.memory import CODE_LENGTH, column_codes, later_columns

LEAVES = [type_.schema for type_ in edm.TYPES.values()]


def container(columns: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    whole = {"type": ["object", "null"], "properties": columns}
    return st.sampled_from([whole, {"type": ["array", "null"], "items": whole}])


NAMES = st.text("abcXYZ_ä", min_size=1, max_size=9)
SCHEMAS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3).flatmap(container),
    max_leaves=6,
)
COLUMNS = st.dictionaries(NAMES, SCHEMAS, max_size=8).map(
    lambda columns: edm.columns_of({"properties": columns})
)


@given(COLUMNS)
def test_columns_that_were_read_are_not_later_whatever_their_types(
    columns: dict[str, edm.EdmType],
) -> None:
    assert later_columns(column_codes(columns), columns) == []
    assert len(column_codes(columns)) % CODE_LENGTH == 0


@given(COLUMNS, COLUMNS)
def test_each_column_that_was_not_read_is_later(
    old: dict[str, edm.EdmType], new: dict[str, edm.EdmType]
) -> None:
    later = later_columns(column_codes(old), {**old, **new})
    assert {path.partition("/")[0] for path in later} >= new.keys() - old.keys()
    assert {path for path in later if "/" not in path} == new.keys() - old.keys()


def test_a_column_within_another_is_one_of_its_own() -> None:
    def lines(*names: str) -> dict[str, edm.EdmType]:
        item = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        schema = {"type": ["array", "null"], "items": item}
        return {"Lines": edm.from_schema(schema)}

    assert later_columns(column_codes(lines("A")), lines("A", "B")) == ["Lines/B"]


def test_a_type_that_changes_changes_the_code_but_is_no_later_column() -> None:
    old, new = {"A": edm.STRING}, {"A": edm.NUMBER}
    assert column_codes(old) != column_codes(new)
    assert later_columns(column_codes(old), new) == []
