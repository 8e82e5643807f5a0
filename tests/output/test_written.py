"""Columns to which the user gave another type: what is written is exact, or an error names it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.running import discover, run, select_all, settings_for

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import AcumaticaError, BrokenPayload, DiscoveryError
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.output.records import RecordConverter, RecordSettings

if TYPE_CHECKING:
    from sandbox import Sandbox

ORDERS = "PX_Objects_SO_SOOrder"
STRING = {"type": ["string", "null"]}
DATE = {"type": ["null", "string"], "format": "date"}


def written(declared: str | None, schema: edm.Schema, sent: str, **how: Any) -> Any:
    """Send a value as JSON, and return what is written."""
    columns = {"C": edm.of_column(schema, declared)}
    page = JsonDecoder("S", columns).page(b'{"value":[{"C":%s}]}' % sent.encode())
    converter = RecordConverter(columns, None, RecordSettings(**how), stream="Rows")
    (record,) = converter.convert(page.rows)
    return record["C"]


@pytest.mark.parametrize(
    ("declared", "schema", "sent", "expected"),
    [
        ("Edm.Decimal", STRING, "0.5", "0.5"),
        ("Edm.Decimal", STRING, '"10.500000"', "10.500000"),
        ("Edm.Decimal", {"type": "string", "format": "x-singer.decimal"}, "0.50", "0.50"),
        ("Edm.Decimal", {"type": "integer"}, "7.000", 7),
        ("Edm.Double", STRING, "1e-7", "0.0000001"),
        ("Edm.Double", STRING, '"NaN"', None),
        ("Edm.Int32", STRING, "12", "12"),
        ("Edm.Int32", {"type": "number"}, "12", 12),
        ("Edm.Int16", {"type": "boolean"}, "1", True),
        ("Edm.Boolean", STRING, "true", "true"),
        ("Edm.Boolean", {"type": "integer"}, "false", 0),
        ("Edm.String", {"type": "integer"}, '"007"', 7),
        ("Edm.String", {"type": "number"}, '"0.10"', Decimal("0.10")),
        ("Edm.String", DATE, '"2026-02-01"', "2026-02-01"),
        ("Edm.DateTimeOffset", DATE, '"2026-02-01T00:00:00Z"', "2026-02-01"),
        ("Edm.DateTimeOffset", DATE, '"2026-02-01T00:00:00+03:00"', "2026-02-01"),
        ("Edm.DateTime", DATE, '"2026-02-01T00:00:00"', "2026-02-01"),
        ("Edm.DateTimeOffset", STRING, '"2026-02-01T08:00:00.5+03:00"', "2026-02-01T05:00:00.5Z"),
        ("Edm.Date", {"type": "string", "format": "date-time"}, '"2026-02-01"',
         "2026-02-01T00:00:00Z"),
        ("Edm.Guid", STRING, '"c0ffee00-0000-4000-8000-000000000000"',
         "c0ffee00-0000-4000-8000-000000000000"),
        ("N.Point", STRING, '{"X":0.10}', '{"X":0.10}'),
        ("Edm.Decimal", {"anyOf": [STRING, {"type": "null"}]}, "0.5", "0.5"),
        ("Edm.Decimal", {"type": ["string", "number", "null"]}, "0.5", Decimal("0.5")),
    ],
)  # fmt: skip
def test_a_value_is_written_in_the_type_of_the_catalog(
    declared: str, schema: dict[str, Any], sent: str, expected: Any
) -> None:
    value = written(declared, schema, sent)
    assert (value, type(value)) == (expected, type(expected))
    assert written(declared, {**schema, "title": "T"}, "null") is None


@pytest.mark.parametrize("declared", [None, "Edm.Decimal", "Edm.Double"])
@pytest.mark.parametrize("sent", ["0.50", '"0.50"'])
def test_a_decimal_is_written_as_its_schema_says_whoever_wrote_the_schema(
    declared: str | None, sent: str
) -> None:
    assert written(declared, edm.decimals("text"), sent) == "0.50"
    assert written(declared, edm.decimals("decimal(3,1)"), sent) == "0.5"
    with pytest.raises(AcumaticaError, match=r"0\.50 of C in Rows does not fit decimal\(3,0\)"):
        written(declared, edm.decimals("decimal(3,0)"), sent)


def test_the_form_of_decimals_changes_no_text() -> None:
    for decimals in ("text", "decimal(3,1)"):
        assert written("Edm.String", edm.decimals(decimals), '"007.50"') == "007.50"


@pytest.mark.parametrize(
    ("schema", "sent", "expected"),
    [
        ({"type": "integer"}, '"007  "', 7),
        (DATE, '"2026-02-01  "', "2026-02-01"),
        (STRING, '"7  "', "7"),
    ],
)
def test_texts_are_trimmed_before_they_become_another_type(
    schema: dict[str, Any], sent: str, expected: Any
) -> None:
    assert written("Edm.String", schema, sent, trim_strings=True) == expected


@pytest.mark.parametrize(
    ("declared", "schema", "sent"),
    [
        ("Edm.Decimal", {"type": "integer"}, "0.5"),
        ("Edm.Decimal", {"type": "boolean"}, "2"),
        ("Edm.String", {"type": "integer"}, '"twelve"'),
        ("Edm.String", {"type": "number"}, '"1,5"'),
        ("Edm.String", {"type": "number"}, '"NaN"'),
        ("Edm.String", {"type": "boolean"}, '"yes"'),
        ("Edm.DateTimeOffset", DATE, '"2026-02-01T08:00:00Z"'),
        ("Edm.DateTimeOffset", {"type": "integer"}, '"2026-02-01T08:00:00Z"'),
        ("Edm.DateTimeOffset", {"type": "object"}, '"2026-02-01T08:00:00Z"'),
        ("Edm.String", {"type": "string", "format": "uuid"}, '"x"'),
    ],
)
def test_a_value_without_an_exact_counterpart_is_named(
    declared: str, schema: dict[str, Any], sent: str
) -> None:
    with pytest.raises(DiscoveryError, match="of the column C of Rows has no exact") as refused:
        written(declared, schema, sent)
    assert sent.strip('"') in str(refused.value)


TARGETS = [
    *({"type": kind} for kind in ("string", "integer", "number", "boolean", "object", "null")),
    *({"type": "string", "format": name} for name in ("date", "date-time", "time", "uuid", "x")),
    {"type": "string", "contentEncoding": "base64"},
]
VALUES = st.one_of(
    st.text(max_size=8),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.dates().map(str),
    st.uuids().map(str),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(edm.TYPES)), st.sampled_from(TARGETS), VALUES, st.booleans())
def test_whatever_is_sent_is_exact_or_a_sentence(
    declared: str, target: dict[str, Any], value: str, quoted: bool
) -> None:
    sent = msgspec.json.encode(value).decode() if quoted else value
    try:
        result = written(declared, target, sent)
    except (AcumaticaError, BrokenPayload):
        return
    kinds: dict[str, Any] = {
        "string": str,
        "integer": int,
        "number": (int, Decimal),
        "boolean": bool,
    }
    assert result is None or isinstance(result, kinds[target["type"]])
    assert target["type"] == "boolean" or not isinstance(result, bool)


def by_schema(stream: dict[str, Any], column: str, schema: dict[str, Any]) -> None:
    """Override a column's type as Meltano's extra `schema` does."""
    stream["schema"]["properties"][column].update(schema)


def test_overridden_types_arrive_with_the_rows_and_their_key(box: Sandbox) -> None:
    line = "PX_Objects_SO_SOLine"
    config = settings_for(box, ORDERS, line, page_size=10, tracking_type="none")
    plain = run(config)
    streams = discover(config)
    by_schema(streams[ORDERS], "OrderDate", {"type": ["string", "null"], "format": "date"})
    by_schema(streams[ORDERS], "OrderTotal", {"type": ["string", "null"]})
    by_schema(streams[line], "LineNbr", {"type": "string", "minimum": None, "maximum": None})
    output = run(config, catalog=select_all(streams))
    assert output.error is None

    def changed(record: dict[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if "OrderTotal" in record:
            changes = {
                "OrderDate": record["OrderDate"][:10],
                "OrderTotal": str(record["OrderTotal"]),
            }
        return (
            record | changes | ({"LineNbr": str(record["LineNbr"])} if "LineNbr" in record else {})
        )

    for stream in (ORDERS, line):
        assert output.records(stream) == [changed(record) for record in plain.records(stream)]


def test_a_replication_key_may_be_a_plain_text_and_nothing_else(box: Sandbox) -> None:
    config = settings_for(box, ORDERS)
    streams = discover(config)
    del streams[ORDERS]["schema"]["properties"]["LastModifiedDateTime"]["format"]
    output = run(config, catalog=select_all(streams))
    assert output.error is None
    assert output.records() == run(config).records()
    by_schema(streams[ORDERS], "LastModifiedDateTime", {"format": "date"})
    error = run(config, catalog=select_all(streams)).error
    assert "is not a selected date-time column" in str(error)


def test_a_value_that_would_change_ends_the_run_with_its_name(box: Sandbox) -> None:
    config = settings_for(box, ORDERS)
    streams = discover(config)
    by_schema(streams[ORDERS], "CreatedDateTime", {"format": "date"})
    error = str(run(config, catalog=select_all(streams)).error)
    assert f"of the column CreatedDateTime of {ORDERS} has no exact counterpart" in error
