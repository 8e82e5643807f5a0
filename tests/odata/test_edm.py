"""The Edm types: literals, schemas, and the types behind a catalog's schemas."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from tap_acumatica.odata import edm

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**19))


def parsed(literal: str) -> ast._Node:
    """Parse a literal as a server does."""
    tree: ast.Compare = ODataParser().parse(ODataLexer().tokenize(f"Column eq {literal}"))
    return tree.right


@given(st.text())
def test_a_string_literal_is_one_literal_whatever_it_holds(value: str) -> None:
    literal = edm.TYPES["Edm.String"].literal(value)
    assert literal[0] == literal[-1] == "'"
    inner = literal[1:-1]
    assert re.fullmatch("(?:[^']|'')*", inner)
    assert inner.replace("''", "'") == value


@pytest.mark.parametrize("name", ["Edm.Byte", "Edm.Int16", "Edm.Int32", "Edm.Int64"])
@given(st.data())
def test_an_integer_literal_is_the_bare_number(name: str, data: st.DataObject) -> None:
    schema = edm.TYPES[name].schema
    value = data.draw(st.integers(schema["minimum"], schema["maximum"]))
    assert int(edm.TYPES[name].literal(value)) == value


@given(NUMBERS)
def test_a_decimal_literal_has_all_digits(value: Decimal) -> None:
    assert Decimal(edm.TYPES["Edm.Decimal"].literal(value)) == value


def test_boolean_literals_are_in_lower_case() -> None:
    assert [edm.TYPES["Edm.Boolean"].literal(value) for value in (True, False)] == ["true", "false"]


@given(st.datetimes(timezones=OFFSETS, min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001
def test_an_instant_literal_is_the_instant_in_utc(moment: datetime) -> None:
    literal = edm.instant_literal(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z", literal)
    assert datetime.fromisoformat(literal) == moment


def test_an_instant_literal_is_one_to_a_parser_of_odata() -> None:
    literal = edm.instant_literal(datetime(2022, 9, 14, 21, 26, 36, 330000, tzinfo=UTC))
    assert literal == "2022-09-14T21:26:36.33Z"
    assert isinstance(parsed(literal), ast.DateTime)


def test_the_zeros_of_a_whole_minute_stay() -> None:
    assert edm.instant_literal(datetime(2024, 1, 1, 10, 20, tzinfo=UTC)) == "2024-01-01T10:20:00Z"


@pytest.mark.parametrize("name", edm.TYPES)
def test_a_catalog_leads_back_to_the_type(name: str) -> None:
    edm_type = edm.TYPES[name]
    nullable = {**edm_type.schema, "type": [edm_type.schema["type"], "null"], "title": "Label"}
    for schema in (edm_type.schema, nullable):
        restored = edm.from_schema(schema)
        for column in ("wire", "literal", "literal_v3", "conversion", "ordered", "sortable"):
            assert getattr(restored, column) == getattr(edm_type, column), column


@pytest.mark.parametrize("name", edm.TYPES)
def test_every_schema_is_valid(name: str) -> None:
    Draft202012Validator.check_schema(edm.TYPES[name].schema)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("Edm.Byte", 0, 255),
        ("Edm.SByte", -128, 127),
        ("Edm.Int16", -32768, 32767),
        ("Edm.Int32", -2147483648, 2147483647),
        ("Edm.Int64", -9223372036854775808, 9223372036854775807),
    ],
)
def test_integers_have_the_bounds_of_their_type(name: str, low: int, high: int) -> None:
    schema = edm.TYPES[name].schema
    assert (schema["minimum"], schema["maximum"]) == (low, high)


def test_keys_of_types_that_servers_order_in_their_own_way_do_not_lead_from_page_to_page() -> None:
    unordered = {name for name, edm_type in edm.TYPES.items() if not edm_type.ordered}
    assert unordered >= {"Edm.Guid", "Edm.Boolean", "Edm.Double", "Edm.Single", "Edm.Binary"}
    assert edm.TYPES["Edm.String"].ordered
    assert edm.TYPES["Edm.Int32"].ordered


@pytest.mark.parametrize(
    ("setting", "schema"),
    [
        ("number", {"type": "number"}),
        ("text", {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}),
        (
            "decimal(38,10)",
            {"type": "string", "format": "x-singer.decimal", "precision": 38, "scale": 10},
        ),
        (
            "decimal( 19, 0 )",
            {"type": "string", "format": "x-singer.decimal", "precision": 19, "scale": 0},
        ),
    ],
)
def test_decimals_have_the_schema_that_the_setting_says_and_are_numbers_on_the_wire(
    setting: str, schema: dict[str, Any]
) -> None:
    assert edm.decimals(setting) == schema
    nullable = {**schema, "type": [schema["type"], "null"]}
    edm_type = edm.from_schema(nullable)
    assert (edm_type.wire, edm_type.literal_v3) == (edm.NUMBER.wire, edm.NUMBER.literal_v3)


def test_a_column_of_numbers_is_one_whatever_its_format() -> None:
    assert edm.from_schema({"type": "number", "format": edm.DECIMAL_FORMAT}) is edm.NUMBER


@pytest.mark.parametrize(
    "setting",
    [
        "float",
        "Number",
        "decimal",
        "decimal(38)",
        "decimal(0,0)",
        "decimal(4,5)",
        "decimal(a,b)",
    ],
)
def test_other_decimals_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=re.escape(setting)):
        edm.decimals(setting)


@pytest.mark.parametrize("schema", [{}, {"type": "string", "format": "email"}, {"type": "null"}])
def test_a_schema_of_no_known_type_takes_any_value(schema: dict[str, Any]) -> None:
    assert edm.from_schema(schema).wire in {Any, str}


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("Collection(Edm.String)", "Edm.String"),
        ("Collection(PX.Objects.SO.SOLine)", "PX.Objects.SO.SOLine"),
        ("Edm.String", None),
        ("PX.Collection(Edm.String)", None),
    ],
)
def test_collections_are_told_by_name(name: str, item: str | None) -> None:
    assert edm.collection_of(name) == item


def test_lists_and_objects_are_decoded_with_exact_numbers() -> None:
    schema = {
        "type": "array",
        "items": {
            "type": ["object", "null"],
            "properties": {
                "Amount": {"type": ["number", "null"]},
                "At": {"type": ["string", "null"], "format": "date-time"},
            },
        },
    }
    body = b'[{"Amount":0.10,"At":"2024-01-01T00:00:00Z","Other":1},null,{"Amount":"2.50"}]'
    decoded = msgspec.json.decode(body, type=edm.from_schema(schema).wire, strict=False)
    assert decoded == [
        {"Amount": Decimal("0.10"), "At": "2024-01-01T00:00:00Z"},
        None,
        {"Amount": Decimal("2.50")},
    ]
    assert str(decoded[2]["Amount"]) == "2.50"
