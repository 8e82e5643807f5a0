"""Parameters of inquiries, and literals, in the syntax of each OData version."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata import edm
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.inquiry_call import call_of
from tap_acumatica.odata.query import Call, Query
from tap_acumatica.odata.table import Table

V3, V4 = ODataVersion.V3, ODataVersion.V4
INSTANT = datetime(2022, 9, 14, 21, 26, 36, 330_000, UTC)
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("type_name", "value", "older", "newer"),
    [
        ("Edm.String", "O'Neil", "O'Neil", "'O''Neil'"),
        ("Edm.String", 7, "7", "'7'"),
        ("Edm.Int32", 7, "7", "7"),
        ("Edm.Int64", "7", "7", "7"),
        ("Edm.Decimal", Decimal("10.50"), "10.50", "10.50"),
        ("Edm.Decimal", "1e3", "1000", "1000"),
        ("Edm.Boolean", True, "true", "true"),
        ("Edm.Boolean", "False", "false", "false"),
        ("Edm.Guid", GUID.upper(), GUID, GUID),
        ("Edm.DateTime", "2024-01-31", "2024-01-31T00:00:00", "2024-01-31T00:00:00Z"),
        (
            "Edm.DateTimeOffset",
            "2024-01-31T08:00:00+02:00",
            "2024-01-31T08:00:00+02:00",
            "2024-01-31T06:00:00Z",
        ),
        ("Some.Other", "text", "text", "'text'"),
    ],
)
def test_a_value_is_written_as_its_type_and_version_want_it(
    type_name: str, value: Any, older: str, newer: str
) -> None:
    for protocol, expected in ((V3, older), (V4, newer)):
        call = call_of("F_WithParameters", {"P": type_name}, {"P": value}, protocol)
        assert call == Call("F_WithParameters", {"P": expected})


def test_a_parameter_without_a_value_is_null_or_left_out() -> None:
    types = {"P": "Edm.String", "Q": "Edm.Int32"}
    values = {"P": None, "Q": 1}
    assert call_of("F", types, values, V4).parameters == {"P": "null", "Q": "1"}
    assert call_of("F", types, values, V3).parameters == {"Q": "1"}


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("Edm.Int32", "seven"),
        ("Edm.Int32", True),
        ("Edm.Int32", 1.5),
        ("Edm.Decimal", "NaN"),
        ("Edm.Decimal", [1]),
        ("Edm.Boolean", "perhaps"),
        ("Edm.DateTime", "yesterday"),
        ("Edm.Guid", "none"),
        ("Edm.String", {"a": 1}),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_name(type_name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^P$"):
        call_of("F", {"P": type_name}, {"P": value}, V4)


@given(st.text(min_size=1), st.text())
def test_any_text_travels_in_the_query_string(function: str, value: str) -> None:
    call = call_of(function, {"P": "Edm.String"}, {"P": value}, V4)
    query = Query("Set", call=call)
    assert unquote(query.path) == f"{function}(P=@1)"
    assert dict(parse_qsl(query.string(), keep_blank_values=True)) == {
        "@1": "'" + value.replace("'", "''") + "'"
    }
    older = Query("Set", call=call_of(function, {"P": "Edm.String"}, {"P": value}, V3), protocol=V3)
    assert unquote(older.path) == function
    sent = dict(parse_qsl(older.string(), keep_blank_values=True))
    assert sent == {"$format": "json", "P": value}


def test_literals_are_those_of_the_version() -> None:
    columns = {
        "S": edm.STRING,
        "D": edm.NUMBER,
        "G": edm.TYPES["Edm.Guid"],
        "I": edm.INTEGER,
        "T": edm.INSTANT,
    }
    row = {"S": "a'b", "D": Decimal("12.50"), "G": GUID, "I": 5, "T": "2024-01-01T00:00:00"}
    older = Table("Set", columns, protocol=V3)
    assert [older.literal(name, value) for name, value in row.items()] == [
        "'a''b'",
        "12.50M",
        f"guid'{GUID}'",
        "5",
        "datetime'2024-01-01T00:00:00'",
    ]
    assert older.instant(INSTANT) == "datetime'2022-09-14T21:26:36.33Z'"
    newer = Table("Set", columns)
    literals = [newer.literal(name, value) for name, value in row.items()]
    assert literals == ["'a''b'", "12.50", GUID, "5", "2024-01-01T00:00:00"]
    assert newer.instant(INSTANT) == "2022-09-14T21:26:36.33Z"
    assert newer.literal("S", None) == older.literal("S", None) == "null"


def test_queries_of_odata_3_ask_for_json() -> None:
    query = Table("A B", {"X": edm.STRING}, protocol=V3).query("X eq 1")
    assert query.path == "A%20B"
    assert re.search(r"\$format=json", query.string())
    assert "$format" not in Table("A", {"X": edm.STRING}).query().string()
