"""A few characters remember which columns a stream was read with."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata import edm
from tap_acumatica.reading.memory import (
    CODE_LENGTH,
    TYPES,
    column_codes,
    column_types,
    path_code,
    remembered,
    type_code,
)

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
def test_each_column_is_remembered_with_its_type(columns: dict[str, edm.EdmType]) -> None:
    types = column_types(columns)
    assert remembered(column_codes(columns)) == {
        path_code(path): type_code(kind) for path, kind in types.items()
    }
    assert len(column_codes(columns)) == CODE_LENGTH * len(types)
    assert types.keys() >= columns.keys()


def test_a_column_within_another_is_one_of_its_own() -> None:
    item = {"type": "object", "properties": {"A": {"type": "string"}}}
    columns = {"Lines": edm.from_schema({"type": ["array", "null"], "items": item})}
    assert [*column_types(columns)] == ["Lines", "Lines/A"]


def test_each_edm_type_has_a_code_of_its_own_and_words() -> None:
    signatures = {edm.signature(edm_type.schema) for edm_type in edm.TYPES.values()}
    assert {type_code("/".join(each)) for each in signatures} <= TYPES.keys()
    assert len(set(TYPES.values())) == len(TYPES)
