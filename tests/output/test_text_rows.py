"""Rows that pass as text become the records that they would be if they were rebuilt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.batches import lines_of, text_of_record, writer_into
from support.running import captured_stdout

from benchmarks.page_server import EDM, MIXES, Pages
from benchmarks.page_server import KEY as KEY_COLUMN
from benchmarks.page_server import Table as MixedTable
from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import AcumaticaError, BrokenPayload
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.odata.payload.text_rows import TextRow
from tap_acumatica.output.records import RecordConverter, RecordSettings, add_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from tap_acumatica.odata.payload.page import Page

R = "LastModifiedDateTime"
KEY = ("OrderType", "LineNbr")
NESTED: edm.Schema = {
    "type": ["array", "null"],
    "items": {
        "type": ["object", "null"],
        "properties": {
            "Nbr": {"type": ["integer", "null"]},
            "Amount": {"type": ["number", "null"]},
            "Text": {"type": ["string", "null"]},
        },
    },
}
COLUMNS: Mapping[str, edm.EdmType] = {
    "OrderType": edm.TYPES["Edm.String"],
    "LineNbr": edm.TYPES["Edm.Int32"],
    "Amount": edm.TYPES["Edm.Decimal"],
    "Rate": edm.TYPES["Edm.Double"],
    "Active": edm.TYPES["Edm.Boolean"],
    "OrderDate": edm.TYPES["Edm.DateTimeOffset"],
    "CreatedDateTime": edm.TYPES["Edm.DateTimeOffset"],
    "NoteID": edm.TYPES["Edm.Guid"],
    "Odd": edm.UNKNOWN,
    "Lines": edm.from_schema(NESTED),
    R: edm.TYPES["Edm.DateTimeOffset"],
}
FLAT = {name: edm_type for name, edm_type in COLUMNS.items() if name != "Lines"}
NOW = datetime(2026, 6, 1, tzinfo=UTC)

TEXTS = st.text(max_size=8).map(json.dumps) | st.sampled_from(
    [
        '"Caf\\u00e9"',
        '"Café"',
        r'"\/"',
        r'"\ud83d\ude00"',
        r'"\ud83d"',
        r'"\u0000"',
        '"\\"LastModifiedDateTime\\":\\"2026-01-01T00:00:00Z\\""',
        '"2026-01-01T00:00:00Z"',
        '"   "',
        '""',
        '"\x01"',
        '"\u2028"',
    ]
)
NUMBERS = st.sampled_from(
    [
        "0",
        "-0",
        "1",
        "1.50",
        "1.0",
        "1e5",
        "1E-400",
        "1e400",
        "-0.0",
        "NaN",
        '"0.5"',
        '"INF"',
        "007",
    ]
) | st.decimals(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:f}")
INTEGERS = st.integers().map(str) | st.sampled_from(["1.0", "1e2", '"5"', "-0", "9" * 30, "5.5"])
INSTANTS = st.sampled_from(
    [
        '"2026-01-01T00:00:00Z"',
        '"2026-01-01T00:00:00.000Z"',
        '"2026-01-01T10:20:30Z"',
        '"2026-01-01T10:20:30.1Z"',
        '"2026-01-01T10:20:30.1234567Z"',
        '"2026-01-01T10:20:30.123456+00:00"',
        '"2026-01-01T10:20:30+02:00"',
        '"2026-01-01T00:00:00+02:00"',
        '"2026-01-01T10:20:30"',
        '"2026-01-01"',
        '"2026-13-01T10:20:30Z"',
        '"2026-W01-1T10:20:30Z"',
        '"0001-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00+14:00"',
        '"9999-12-31T23:59:59.9999999Z"',
        '"2026\\u002d01-01T10:20:30Z"',
        '"\u0662026-01-01T10:20:30Z"',
        '"not a date"',
        "17",
    ]
)
NESTED_VALUES = st.sampled_from(
    [
        "[]",
        "[null]",
        '[{"Nbr":1,"Amount":1.50,"Text":"a"}]',
        '[{"Nbr":1,"Amount":1.50}]',
        '[{"Nbr":1,"Amount":1.50,"Text":"a","More":1}]',
        '[{"Nbr":"1","Amount":"x","Text":"a"}]',
        '[{"Nbr":1,"Amount":1.50,"Text":"LastModifiedDateTime"}]',
        "{}",
    ]
)
PLAIN = {
    "OrderType": '"SO"',
    "LineNbr": "1",
    "Amount": "12.50",
    "Rate": "0.1",
    "Active": "true",
    "OrderDate": '"2026-01-01T00:00:00Z"',
    "CreatedDateTime": '"2026-01-01T10:20:30.12Z"',
    "NoteID": '"5cbf0d37-6b3f-4f0e-8a53-1a2b3c4d5e6f"',
    "Odd": '"anything"',
    "Lines": '[{"Nbr":1,"Amount":1.50,"Text":"a"}]',
    R: '"2026-01-01T10:20:30Z"',
}
VALUES = {
    "OrderType": TEXTS,
    "LineNbr": INTEGERS,
    "Amount": NUMBERS,
    "Rate": NUMBERS,
    "Active": st.sampled_from(["true", "false", '"true"', "1"]),
    "OrderDate": INSTANTS,
    "CreatedDateTime": INSTANTS,
    "NoteID": TEXTS,
    "Odd": TEXTS | st.sampled_from(["1.50", "[1]", '{"a":1}', "true"]),
    "Lines": NESTED_VALUES,
    R: INSTANTS,
}
SETTINGS = st.builds(
    RecordSettings,
    st.builds(
        InstantReader,
        st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")]),
        st.booleans(),
    ),
    st.booleans(),
    st.booleans() | st.just(False),  # noqa: FBT003 - a value of a strategy
)


ZONES = st.sampled_from(["Z", ".000Z", ".5Z", ".123456Z", "+00:00", ".25-07:30", ".1234567Z", ""])
"""How a server shows all of its date-times."""


@st.composite
def rows(draw: st.DrawFn, columns: Collection[str], zone: str) -> str:
    """Draw a row, mostly of plain values, as the server may or may not write it."""
    plain = {name: text for name, text in PLAIN.items() if name in columns}
    if zone != "Z":
        moments = st.datetimes(timezones=st.none()).map(lambda at: at.isoformat(timespec="seconds"))
        days = st.sampled_from(["2026-01-01T00:00:00", "2026-02-28T00:00:00"])
        for name in ("OrderDate", "CreatedDateTime", R):
            plain[name] = f'"{draw(moments if name != "OrderDate" else moments | days)}{zone}"'
    members = [*plain.items()]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(members) - 1))
        name = members[at][0]
        members[at] = (name, draw(VALUES.get(name, TEXTS) | st.just("null")))
        match draw(st.sampled_from([*"-----", "missing", "more", "twice", "annotation", "moved"])):
            case "missing":
                del members[at]
            case "more":
                members.insert(at, (draw(st.sampled_from(["More", "lines", "@x"])), "1"))
            case "annotation":
                members.insert(at, (f"{name}@odata.type", '"Edm.Int"'))
            case "twice":
                members.append((name, draw(VALUES.get(name, TEXTS))))
            case "moved":
                members.append(members.pop(at))
    colon = draw(st.sampled_from([*[":"] * 8, ": ", ":\n", " :", ":\r"]))
    return "{" + ",".join(f'"{name}"{colon}{value}' for name, value in members) + "}"


@st.composite
def bodies(draw: st.DrawFn, columns: Collection[str]) -> bytes:
    """Draw a body with such rows."""
    content = ",".join(draw(st.lists(rows(columns, draw(ZONES)), max_size=4)))
    head = draw(
        st.sampled_from(
            [
                "",
                "",
                '"@odata.context":"https://host/$metadata#Set",',
                '"@odata.context":"https://host/$metadata#Other",',
                '"@odata.count":7,',
                '"@odata.count":"x",',
                '"error":{"message":"no"},',
            ]
        )
    )
    body = f'{{{head}"value":[{content}]}}'.encode("utf-8", "surrogatepass")
    match draw(st.sampled_from([*"-----", "cut", "mark", "blank", "byte"])):
        case "cut":
            return body[: draw(st.integers(0, len(body)))]
        case "mark":
            return b"\xef\xbb\xbf" + body
        case "blank":
            return body + b"\n"
        case "byte":
            at = draw(st.integers(0, len(body) - 1))
            return body[:at] + draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]
    return body


def written(
    converter: RecordConverter, page: Page, tenant: str | None, needed: Sequence[str]
) -> Iterator[Any]:
    """Yield what becomes of a page: what it says, the lines, and what a read needs of the rows."""
    found = [[row[name] for name in needed] for row in page.rows]
    records = converter.convert(page.rows)
    add_columns(records, {"_tenant": tenant} if tenant else {})
    with captured_stdout() as stdout, TemporaryDirectory() as folder:
        writer = writer_into(folder)
        writer.write_records("Orders", records, 17, NOW)
        lines = stdout.getvalue().splitlines()
        if records:
            writer.batch_records("Orders", records)
            writer.end_batch()
            *_, batch = stdout.getvalue().splitlines()
            in_batch = lines_of(*json.loads(batch)["manifest"])
            assert in_batch == [text_of_record(line) + b"\n" for line in lines]
    assert len(lines) == len(records)
    yield (page.count, page.next_link, page.selected)
    for line in lines:
        yield json.loads(line, parse_float=Decimal, parse_int=Decimal)
    yield found


def outcome(
    converter: RecordConverter,
    decoder: JsonDecoder,
    body: bytes,
    tenant: str | None,
    needed: Sequence[str],
) -> Sequence[Any]:
    """Return what becomes of a body, or the sentence that says why it cannot be read."""
    try:
        return [*written(converter, decoder.page(body), tenant, needed)]
    except (AcumaticaError, BrokenPayload, ValueError) as error:
        return [type(error), str(error)]


KEYS = st.lists(
    st.sampled_from([name for name in COLUMNS if name not in {R, "Lines"}]),
    min_size=1,
    max_size=2,
    unique=True,
).map(tuple)
NUMERIC = {"Amount", "Rate"}
"""Columns whose values would lose digits in a row that passes as text."""


@given(
    page=st.sampled_from([COLUMNS, FLAT]).flatmap(lambda c: st.tuples(st.just(c), bodies(c))),
    settings=SETTINGS,
    replication_key=st.sampled_from([R, None]),
    key=st.sampled_from([KEY, ("Rate",), ("NoteID", "Amount")]) | KEYS,
    tenant=st.sampled_from([None, 'A "Company"']),
    absent=st.sampled_from([(), ("UsrOne", "UsrTwo")]),
)
def test_both_ways_lead_to_the_same_records(  # noqa: PLR0913 - what a row depends on
    *,
    page: tuple[Mapping[str, edm.EdmType], bytes],
    settings: RecordSettings,
    replication_key: str | None,
    key: tuple[str, ...],
    tenant: str | None,
    absent: tuple[str, ...],
) -> None:
    columns, body = page
    key = tuple(name for name in key if name in columns) or KEY
    converter, rebuilding = (
        RecordConverter(columns, replication_key, settings, absent, stream="Orders", key=key)
        for _ in range(2)
    )
    required = (*key, replication_key) if replication_key else key
    text_columns = converter.text_columns
    assert (text_columns is None) == (settings.trim_strings or not NUMERIC.isdisjoint(key))
    passing = JsonDecoder("Set", columns, required, text_columns)
    found = outcome(converter, passing, body, tenant, required)
    event(f"text: {passed(passing, body)}")
    decoder = JsonDecoder("Set", columns, required)
    assert found == outcome(rebuilding, decoder, body, tenant, required)


def passed(decoder: JsonDecoder, body: bytes) -> bool:
    """Whether all rows of a body pass as text."""
    try:
        page = decoder.page(body)
    except (AcumaticaError, BrokenPayload, ValueError):
        return False
    return bool(page.rows) and all(isinstance(row, TextRow) for row in page.rows)


def page_of(*changes: Mapping[str, str], columns: Collection[str] = COLUMNS) -> bytes:
    """Return a body of rows that differ from the plain one."""
    plain = {name: text for name, text in PLAIN.items() if name in columns}
    texts = [",".join(f'"{name}":{text}' for name, text in {**plain, **c}.items()) for c in changes]
    return ('{"value":[' + ",".join(f"{{{text}}}" for text in texts) + "]}").encode()


def passing_decoder(columns: Mapping[str, edm.EdmType] = COLUMNS) -> JsonDecoder:
    """Return a decoder for an incremental read."""
    converter = RecordConverter(columns, R, RecordSettings(), key=KEY)
    return JsonDecoder("Set", columns, (*KEY, R), converter.text_columns)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {name: "null" for name in COLUMNS if name not in {*KEY, R}},
        {R: '"2026-01-01T10:20:30.1Z"'},
        {R: '"2026-01-01T10:20:30.123456Z"'},
        {R: '"2026-01-01T10:20:30+02:00"'},
        {"OrderType": r'"\"LastModifiedDateTime\":\"2026-01-01T10:20:30Z\""'},
        {"OrderType": '"Caf\\u00e9"'},
        {"CreatedDateTime": PLAIN[R]},
        {"Amount": "1e5"},
        {"OrderDate": '"2026-01-01T00:00:00+02:00"'},
        {"OrderDate": '"2026-01-01T00:00:00.000Z"'},
        {"OrderDate": '"2026-01-01T00:00:00.000\\u005a"'},
        {"CreatedDateTime": '"2026-01-01T10:20:30+02:00"'},
        {"CreatedDateTime": '"2026-01-01T10:20:30"', "OrderDate": "null"},
    ],
)
def test_what_servers_send_passes(change: Mapping[str, str]) -> None:
    assert passed(passing_decoder(), page_of({}, change))


@pytest.mark.parametrize(
    "change",
    [
        {R: "null"},
        {R: '"2026\\u002d01-01T10:20:30Z"'},
        {"OrderDate": '"2026-01-01T00:00:00\\u002b02:00"'},
        {"CreatedDateTime": '"2026-01-01T10:20:30\\u002b02:00"'},
        {"CreatedDateTime": '"not a date"'},
        {"Amount": '"0.5"'},
        {"LineNbr": "1.0"},
        {"Odd": "1"},
        {"Lines": "[{}]"},
        {"More": "1"},
        {"OrderType": '"a"\n'},
        {"OrderType": '"a"\r'},
        {"OrderType": r'"\ud83d"'},
    ],
)
def test_a_page_with_one_row_that_has_to_be_rebuilt_does_not_pass(
    change: Mapping[str, str],
) -> None:
    body = page_of({}, change)
    assert passing_decoder().page(body).rows
    assert not passed(passing_decoder(), body)


@pytest.mark.parametrize("columns", [COLUMNS, FLAT], ids=["nested", "flat"])
@pytest.mark.parametrize("name", ["OrderDate", "CreatedDateTime", R])
@pytest.mark.parametrize("value", ["2026-01-01T00:00:00+02:00", "2026-01-01T09:00:00+02:00"])
def test_of_names_that_come_twice_the_last_is_rewritten(
    columns: Mapping[str, edm.EdmType], name: str, value: str
) -> None:
    dates = dict.fromkeys({"OrderDate", "CreatedDateTime", R}, f'"{value}"')
    row = page_of(dates, columns=columns)
    body = row.replace(b"}]}", f',"{name}":"{value}"}}]}}'.encode())
    assert body != row
    (found,), (expected,) = (passing_decoder(columns).page(each).rows for each in (body, row))
    assert isinstance(found, TextRow)
    assert isinstance(expected, TextRow)
    assert found.whole() == expected.whole()


@pytest.mark.parametrize("text", ['"a,"', r'",\""', '"a:"', r'"\":"', '","'])
def test_texts_that_look_like_members_do_not_harm_dates(text: str) -> None:
    dates = dict.fromkeys({"OrderDate", "CreatedDateTime", R}, '"2026-01-01T09:00:00+02:00"')
    (row,) = passing_decoder(FLAT).page(page_of({**dates, "NoteID": text}, columns=FLAT)).rows
    assert isinstance(row, TextRow)
    record = row.whole()
    assert record["NoteID"] == json.loads(text)
    assert record["CreatedDateTime"] == record["OrderDate"] == "2026-01-01T07:00:00Z"
    assert record[R] == "2026-01-01T07:00:00.000000+00:00"


def test_rows_whose_texts_have_as_many_parts_may_differ() -> None:
    date = '"2026-01-01T09:00:00+02:00"'
    row = {**dict.fromkeys((R, "OrderDate", "CreatedDateTime"), date)}
    row |= {name: text for name, text in PLAIN.items() if name in FLAT and name not in row}
    first, second = (
        ",".join(f'"{name}":{text}' for name, text in each.items())
        for each in ({**row, "Odd": '"a,"'}, row)
    )
    body = f'{{"value":[{{{first}}},{{{second},"OrderDate":{date}}}]}}'.encode()
    for each in passing_decoder(FLAT).page(body).rows:
        assert isinstance(each, TextRow)
        assert each.whole()["OrderDate"] == "2026-01-01T07:00:00Z"


@pytest.mark.parametrize("mix", MIXES)
def test_no_page_of_the_benchmarks_is_rebuilt(mix: str) -> None:
    columns = {KEY_COLUMN: edm.TYPES["Edm.String"], R: edm.TYPES["Edm.DateTimeOffset"]}
    columns |= {name: edm.TYPES[EDM[kind]] for name, kind in MIXES[mix].columns(30)}
    converter = RecordConverter(columns, R, RecordSettings(), key=(KEY_COLUMN,))
    decoder = JsonDecoder("Set", columns, (KEY_COLUMN, R), converter.text_columns)
    pages = Pages(MixedTable(1_000, 30, MIXES[mix]), 1)
    assert passed(decoder, pages.page("", {"$top": "1000"}, compressed=False))


def test_rows_with_another_column_of_a_dates_name_in_them_are_rebuilt() -> None:
    nested = edm.from_schema(
        {"type": ["object", "null"], "properties": {"OrderDate": {"type": ["string", "null"]}}}
    )
    columns = {**COLUMNS, "Lines": nested}
    assert RecordConverter(columns, R, RecordSettings(), key=KEY).text_columns is None


def test_a_rebuilt_row_of_a_table_that_passes_stays_the_record_that_it_is() -> None:
    (row,) = passing_decoder().page(page_of({"Amount": "1.50"})).rows
    assert isinstance(row, TextRow)
    assert row.whole()["Amount"] == Decimal("1.50")
    assert row.whole().keys() == COLUMNS.keys()
