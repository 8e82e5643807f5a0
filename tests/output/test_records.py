"""Rows become records: numbers exact, instants right, dates on their day."""

from __future__ import annotations

import weakref
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata import edm
from tap_acumatica.odata.deletions import MARK
from tap_acumatica.odata.errors import AcumaticaError, InconsistentAnswer
from tap_acumatica.odata.instants import InstantReader, bookmark_text
from tap_acumatica.output.records import RecordConverter, RecordSettings

R = "LastModifiedDateTime"
COLUMNS = {
    R: edm.INSTANT,
    "CreatedDateTime": edm.INSTANT,
    "OrderDate": edm.INSTANT,
    "Amount": edm.NUMBER,
    "Descr": edm.STRING,
    "Any": edm.UNKNOWN,
}
DATES = edm.from_schema({"type": "array", "items": {"type": "string", "format": "date-time"}})
OSLO = InstantReader(pendulum.timezone("Europe/Oslo"))
WALL_CLOCKS = st.datetimes(min_value=datetime(3, 1, 1), max_value=datetime(9990, 1, 1))  # noqa: DTZ001
OFFSETS = st.integers(-14 * 60, 14 * 60)


def record(column: str, value: object, settings: RecordSettings | None = None) -> Any:
    """Convert one value."""
    (converted,) = RecordConverter(COLUMNS, R, settings or RecordSettings()).convert(
        [{column: value}]
    )
    assert converted.keys() == COLUMNS.keys()
    return converted[column]


def test_the_date_of_a_deleted_row_is_an_instant_even_at_midnight() -> None:
    settings = RecordSettings(InstantReader(ZoneInfo("America/New_York")))
    converter = RecordConverter({MARK: edm.INSTANT, "DueDate": edm.INSTANT}, None, settings)
    midnight = "2024-07-01T00:00:00"
    (row,) = converter.convert([{MARK: midnight, "DueDate": midnight}])
    assert row == {MARK: "2024-07-01T04:00:00Z", "DueDate": "2024-07-01T00:00:00Z"}


def label(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@given(WALL_CLOCKS, OFFSETS)
def test_an_instant_is_written_in_utc(wall: datetime, minutes: int) -> None:
    value = record("CreatedDateTime", wall.isoformat() + label(minutes))
    assert value.endswith("Z")
    assert datetime.fromisoformat(value) == (wall - timedelta(minutes=minutes)).replace(tzinfo=UTC)


@given(WALL_CLOCKS, OFFSETS)
def test_an_instant_can_be_left_as_the_server_labelled_it(wall: datetime, minutes: int) -> None:
    value = wall.isoformat() + label(minutes)
    settings = RecordSettings(convert_to_utc=False)
    assert record("CreatedDateTime", value, settings) == value
    assert record("OrderDate", value, settings) == value


@pytest.mark.parametrize("value", ["2022-09-14T21:26:36.33Z", "2022-09-14T00:00:00Z"])
def test_utc_stays_as_the_server_wrote_it(value: str) -> None:
    assert record("CreatedDateTime", value) == value
    assert record("OrderDate", value) == value


@given(WALL_CLOCKS, OFFSETS)
def test_the_replication_key_is_written_so_that_texts_sort_as_instants(
    wall: datetime, minutes: int
) -> None:
    for convert in (True, False):
        value = record(R, wall.isoformat() + label(minutes), RecordSettings(convert_to_utc=convert))
        moment = (wall - timedelta(minutes=minutes)).replace(tzinfo=UTC)
        assert value == moment.isoformat(timespec="microseconds")


@given(st.dates(datetime(2, 1, 1).date(), datetime(9990, 1, 1).date()), OFFSETS, st.booleans())  # noqa: DTZ001
def test_a_date_keeps_its_day_whatever_the_offset(
    day: Any,
    minutes: int,
    ignore: bool,
) -> None:
    settings = RecordSettings(InstantReader(OSLO.zone, ignore_offsets=ignore))
    for offset in (label(minutes), "Z", ""):
        assert record("OrderDate", f"{day}T00:00:00{offset}", settings) == f"{day}T00:00:00Z"


@pytest.mark.parametrize("convert", [True, False])
def test_a_date_without_an_offset_keeps_its_day_in_any_zone(
    convert: bool,
) -> None:
    for zone in ("Europe/Oslo", "America/New_York", "UTC"):
        settings = RecordSettings(InstantReader(ZoneInfo(zone)), convert_to_utc=convert)
        assert record("OrderDate", "2024-02-01T00:00:00", settings) == "2024-02-01T00:00:00Z"


def test_midnight_is_an_instant_in_columns_that_say_so() -> None:
    value = "2024-02-01T00:00:00+03:00"
    assert record("CreatedDateTime", value) == "2024-01-31T21:00:00Z"
    assert record(R, value) == "2024-01-31T21:00:00.000000+00:00"
    assert record("OrderDate", "2024-02-01T00:00:01+03:00") == "2024-01-31T21:00:01Z"


@pytest.mark.parametrize("convert", [True, False])
def test_a_value_without_an_offset_is_read_in_the_zone(
    convert: bool,
) -> None:
    settings = RecordSettings(OSLO, convert_to_utc=convert)
    assert record("CreatedDateTime", "2024-07-01T12:30:00.5", settings) == "2024-07-01T10:30:00.5Z"
    assert record("OrderDate", "2024-01-01T12:30:00", settings) == "2024-01-01T11:30:00Z"


@pytest.mark.parametrize("convert", [True, False])
def test_a_wrong_label_is_not_handed_on(
    convert: bool,
) -> None:
    settings = RecordSettings(InstantReader(ignore_offsets=True), convert_to_utc=convert)
    value = "2021-09-20T21:07:59.13+03:00"
    assert record("CreatedDateTime", value, settings) == "2021-09-20T21:07:59.13Z"
    zoned = RecordSettings(InstantReader(OSLO.zone, ignore_offsets=True), convert_to_utc=convert)
    assert record("CreatedDateTime", "2024-07-01T12:00:00Z", zoned) == "2024-07-01T10:00:00Z"


@pytest.mark.parametrize("column", [R, "CreatedDateTime", "OrderDate"])
@pytest.mark.parametrize("value", ["", "soon", "2024-13-01T00:00:00"])
def test_what_is_no_date_time_is_told_with_its_column(column: str, value: str) -> None:
    with pytest.raises(InconsistentAnswer, match=column):
        record(column, value)


def written(decimals: str, value: Decimal, **settings: Any) -> Any:
    """Convert one value of a column that discovery describes with this setting."""
    columns = {"Amount": edm.from_schema(edm.decimals(decimals))}
    converter = RecordConverter(
        {**columns, "Nbr": edm.STRING},
        None,
        RecordSettings(**settings),
        stream="Bills",
        key=["Nbr"],
    )
    (converted,) = converter.convert([{"Nbr": "AR01", "Amount": value}])
    return converted["Amount"]


def test_numbers_are_written_as_their_schema_says() -> None:
    value = Decimal("1999.000000")
    assert written("number", value) is value
    assert written("text", value) == "1999.000000"
    assert written("decimal(38,10)", value) == "1999.000000"
    assert written("text", Decimal("1E-7")) == "0.0000001"
    assert written("text", Decimal("1E+3")) == "1000"
    without_precision = edm.from_schema({"type": "string", "format": edm.DECIMAL_FORMAT})
    (row,) = RecordConverter({"A": without_precision}, None, RecordSettings()).convert(
        [{"A": Decimal("0.12345678901234567890")}]
    )
    assert row == {"A": "0.12345678901234567890"}


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
    st.integers(1, 38).flatmap(
        lambda precision: st.tuples(st.just(precision), st.integers(0, precision))
    ),
)
def test_a_decimal_is_written_exactly_or_not_at_all(
    value: Decimal, column_type: tuple[int, int]
) -> None:
    precision, scale = column_type
    fits = Fraction(value) * 10**scale % 1 == 0 and abs(Fraction(value)) < 10 ** (precision - scale)
    decimals = f"decimal({precision},{scale})"
    if not fits:
        with pytest.raises(AcumaticaError):
            written(decimals, value)
        return
    text = written(decimals, value)
    assert Fraction(text) == Fraction(value)
    assert "E" not in text
    assert len(text.partition(".")[2]) <= scale


def test_what_does_not_fit_is_told_with_stream_key_column_and_value() -> None:
    message = r"value 1\.23456 of Amount in Bills does not fit decimal\(19,4\) \(row: Nbr=AR01\)"
    with pytest.raises(AcumaticaError, match=message):
        written("decimal(19,4)", Decimal("1.23456"))
    with pytest.raises(AcumaticaError, match="The value 100000 of Amount"):
        list(
            RecordConverter(
                {"Amount": edm.from_schema(edm.decimals("decimal(5,0)"))}, None, RecordSettings()
            ).convert([{"Amount": Decimal(100000)}])
        )


def test_what_does_not_fit_within_a_related_record_is_told_with_its_path() -> None:
    line = {"type": "object", "properties": {"Price": edm.decimals("decimal(4,2)")}}
    order = {"type": "object", "properties": {"Lines": {"type": "array", "items": line}}}
    converter = RecordConverter({"Order": edm.from_schema(order)}, None, RecordSettings())
    rows = [{"Order": {"Lines": [{"Price": Decimal("1.5")}, {"Price": Decimal("1.005")}]}}]
    with pytest.raises(AcumaticaError, match=r"The value 1\.005 of Order\.Lines\.Price"):
        converter.convert(rows)


@pytest.mark.parametrize("text", ["NaN", "INF", "-INF"])
@pytest.mark.parametrize("decimals", ["number", "text", "decimal(38,10)"])
def test_numbers_that_json_cannot_hold_are_null(text: str, decimals: str) -> None:
    assert written(decimals, Decimal(text)) is None


@given(st.text(st.sampled_from("AÄ \t\n\u00a0")), st.booleans())
def test_only_blanks_at_the_end_of_texts_are_cut(text: str, trim: bool) -> None:
    settings = RecordSettings(trim_strings=trim)
    lines = edm.from_schema({"type": "array", "items": {"type": ["string", "null"]}})
    columns = {"Code": edm.STRING, "Any": edm.UNKNOWN, "Codes": lines}
    (row,) = RecordConverter(columns, None, settings).convert(
        [{"Code": text, "Any": text, "Codes": [text, None]}]
    )
    expected = text.rstrip(" ") if trim else text
    assert row == {"Code": expected, "Any": text, "Codes": [expected, None]}


@pytest.mark.parametrize("column", COLUMNS)
def test_null_stays_null(column: str) -> None:
    assert record(column, None) is None


@pytest.mark.parametrize("text", ["", "MAIN      ", "null", "2024-01-01T00:00:00+03:00"])
def test_text_stays_as_it_is(text: str) -> None:
    assert record("Descr", text) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (True, "true"),
        (Decimal("1.10"), "1.10"),
        ({"Amount": Decimal("0.10"), "List": [None, 1]}, '{"Amount":0.10,"List":[null,1]}'),
    ],
)
def test_values_of_an_unknown_type_are_json_text_with_exact_numbers(
    value: object, expected: str
) -> None:
    assert record("Any", value) == expected


def test_numbers_within_lists_and_objects_are_looked_at_too() -> None:
    nested = edm.from_schema(
        {"type": "array", "items": {"type": "object", "properties": {"A": {"type": "number"}}}}
    )
    rows = [{"Lines": [{"A": Decimal("1.10")}, {"A": Decimal("NaN")}, None]}]
    (record,) = RecordConverter({"Lines": nested}, None, RecordSettings()).convert(rows)
    assert record == {"Lines": [{"A": Decimal("1.10")}, {"A": None}, None]}


@pytest.mark.parametrize("column", ["CreatedDateTime", "OrderDate"])
@pytest.mark.parametrize("label", ["+01:00", ""])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [("1234567", "1234567"), ("0000001", "0000001"), ("1200000", "12"), ("123456780", "12345678")],
)
def test_an_instant_keeps_all_digits_of_its_second(
    column: str, label: str, sent: str, expected: str
) -> None:
    settings = RecordSettings(InstantReader(OSLO.zone))
    value = f"2024-01-01T10:00:00.{sent}{label}"
    assert record(column, value, settings) == f"2024-01-01T09:00:00.{expected}Z"


def test_what_is_remembered_of_a_stream_ends_with_it() -> None:
    """Many streams take no more memory than one, even if no garbage is collected meanwhile."""
    converter = RecordConverter({**COLUMNS, "Dates": DATES}, R, RecordSettings())
    converter.convert([{"OrderDate": "2024-01-01T00:00:00Z", "Dates": ["2024-01-01T00:00:00Z"]}])
    reference = weakref.ref(converter)
    del converter
    assert reference() is None


@given(
    st.lists(
        st.dictionaries(st.sampled_from([*COLUMNS, "Lines"]), st.none(), max_size=7), max_size=4
    )
)
def test_nulls_that_the_server_leaves_out_are_null_in_the_record(
    rows: list[dict[str, Any]],
) -> None:
    item = {"type": ["object", "null"], "properties": {"A": {"type": "string"}, "B": {}}}
    columns = {**COLUMNS, "Lines": edm.from_schema({"type": "array", "items": item})}
    rows = [row | ({"Lines": [{"B": "x"}, None, {}]} if "Lines" in row else {}) for row in rows]
    nulls: dict[str, Any] = dict.fromkeys(columns)
    lines = [{"A": None, "B": "x"}, None, {"A": None, "B": None}]
    expected = [nulls | ({"Lines": lines} if "Lines" in row else {}) for row in rows]
    assert RecordConverter(columns, R, RecordSettings()).convert(rows) == expected


def test_records_keep_the_order_of_the_rows() -> None:
    rows = [{"Amount": Decimal(number)} for number in range(5)]
    records = RecordConverter(COLUMNS, R, RecordSettings()).convert(rows)
    assert [record["Amount"] for record in records] == [0, 1, 2, 3, 4]


@given(st.datetimes(), st.integers(0, 6), st.booleans())
def test_the_replication_key_is_written_as_any_instant_is(
    moment: datetime, digits: int, ignored: bool
) -> None:
    text = moment.isoformat(timespec="microseconds")[: 20 + digits].rstrip(".") + "Z"
    instants = InstantReader(ignore_offsets=ignored)
    converter = RecordConverter({"R": edm.INSTANT}, "R", RecordSettings(instants))
    assert list(converter.convert([{"R": text}])) == [{"R": bookmark_text(instants.read(text))}]


def test_a_replication_key_that_only_looks_like_an_instant_is_an_error() -> None:
    converter = RecordConverter({"R": edm.INSTANT}, "R", RecordSettings())
    with pytest.raises(InconsistentAnswer):
        list(converter.convert([{"R": "2024-13-01T00:00:00Z"}]))
