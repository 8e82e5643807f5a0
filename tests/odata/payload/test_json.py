"""Bodies become pages of exact values, or an error that says what is wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload, ErrorInPayload, InconsistentAnswer
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.odata.payload.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS: Mapping[str, edm.EdmType] = {
    "InventoryCD": edm.TYPES["Edm.String"],
    "LineNbr": edm.TYPES["Edm.Int32"],
    "QtyOnHand": edm.TYPES["Edm.Decimal"],
    "Active": edm.TYPES["Edm.Boolean"],
    "LastModifiedDateTime": edm.TYPES["Edm.DateTimeOffset"],
}
DECODER = JsonDecoder("PX_Objects_IN_InventoryItem", COLUMNS)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
DECIMALS = st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,6})?", fullmatch=True).filter(
    lambda digits: digits != "-0"
)


def value(column: str, text: str) -> Any:
    """Decode one value of a column from JSON text."""
    (row,) = DECODER.page(f'{{"value":[{{"{column}":{text}}}]}}'.encode()).rows
    return row[column]


def test_a_page_as_the_dac_interface_sends_it() -> None:
    body = b"""{"@odata.context": "https://host/odatav4/$metadata#PX_Objects_IN_InventoryItem",
        "@odata.count": 62,
        "value": [{"InventoryCD": "AALEGO500 ", "LineNbr": 3, "QtyOnHand": 1999.000000,
                   "Active": true, "LastModifiedDateTime": "2022-09-14T21:26:36.33Z"},
                  {"InventoryCD": null, "LineNbr": null, "QtyOnHand": null, "Active": null,
                   "LastModifiedDateTime": null}],
        "@odata.nextLink": "https://host/odatav4/PX?$skip=2"}"""
    page = DECODER.page(body)
    assert page.count == 62
    assert page.next_link == "https://host/odatav4/PX?$skip=2"
    assert page.rows == [
        {
            "InventoryCD": "AALEGO500 ",
            "LineNbr": 3,
            "QtyOnHand": Decimal(1999),
            "Active": True,
            "LastModifiedDateTime": "2022-09-14T21:26:36.33Z",
        },
        dict.fromkeys(COLUMNS),
    ]


def test_a_page_as_odata_3_sends_it() -> None:
    body = b'{"value":[{"LineNbr":"3","QtyOnHand":"1999.000000","Active":"true"}]}'
    (row,) = DECODER.page(body).rows
    assert row == {"LineNbr": 3, "QtyOnHand": Decimal("1999.000000"), "Active": True}
    assert str(row["QtyOnHand"]) == "1999.000000"


@given(DECIMALS)
def test_a_decimal_keeps_its_digits_whether_it_comes_as_number_or_text(digits: str) -> None:
    for text in (digits, json.dumps(digits)):
        assert isinstance(value("QtyOnHand", text), Decimal)
        assert str(value("QtyOnHand", text)) == str(Decimal(digits))


@given(TEXTS)
def test_text_comes_through_as_it_is(text: str) -> None:
    for ascii_only in (True, False):
        assert value("InventoryCD", json.dumps(text, ensure_ascii=ascii_only)) == text


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (r"caf\ud83d", "caf\ufffd"),
        (r"\uDE00 end", "\ufffd end"),
        (r"\ud83d\ud83d\ude00\ud83d", "\ufffd\U0001f600\ufffd"),
        (r"\\ud83d \ud83d\n", "\\ud83d \ufffd\n"),
        (r"\\\ud83d\u00e9", "\\\ufffdé"),
    ],
)
def test_half_a_character_is_replaced_and_said_once(
    sent: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    decoder = JsonDecoder("Terms", {"Descr": edm.STRING, "TermsID": edm.STRING})
    body = f'{{"value":[{{"Descr":"{sent}","TermsID":"\\ud83d\\ude00"}}]}}'.encode()
    for _ in range(2):
        assert decoder.page(body).rows == [{"Descr": text, "TermsID": "\U0001f600"}]
    (warning,) = caplog.messages
    assert "Terms" in warning


def test_half_a_character_hides_neither_a_cut_nor_a_name_in_another_case() -> None:
    decoder = JsonDecoder("Terms", {"Descr": edm.STRING, "TermsID": edm.STRING})
    with pytest.raises(BrokenPayload):
        decoder.page(rb'{"value":[{"Descr":"caf\ud83d"}')
    with pytest.raises(InconsistentAnswer, match="as termsid"):
        decoder.page(rb'{"value":[{"Descr":"caf\ud83d","termsid":"x"}]}')


@pytest.mark.parametrize("text", ["null", "Null", "true", "0", ""])
def test_text_that_looks_like_another_value_stays_text(text: str) -> None:
    assert value("InventoryCD", json.dumps(text)) == text


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_may_come_as_a_number_or_as_text(number: int) -> None:
    assert value("LineNbr", str(number)) == number
    assert value("LineNbr", f'"{number}"') == number


def test_a_whole_number_may_come_with_a_fraction_of_zeros() -> None:
    assert value("LineNbr", "5.000000") == 5


def test_numbers_of_an_unknown_type_are_exact_too() -> None:
    decoder = JsonDecoder("X", {"Any": edm.UNKNOWN})
    (row,) = decoder.page(b'{"value":[{"Any":{"Amount":1234567890123456.10}}]}').rows
    assert str(row["Any"]["Amount"]) == "1234567890123456.10"
    (row,) = decoder.singleton(b'{"Any":0.10}').rows
    assert str(row["Any"]) == "0.10"


def test_columns_that_were_not_asked_for_are_left_out() -> None:
    page = DECODER.page(b'{"value":[{"@odata.etag":"x","LineNbr":1,"Other":{"LineNbr":[2]}}]}')
    assert page.rows == [{"LineNbr": 1}]


def test_no_rows_are_an_empty_page() -> None:
    assert DECODER.page(b'{"value": []}') == Page([])


def test_a_count_may_come_as_text() -> None:
    assert DECODER.page(b'{"@odata.count":"62","value":[]}').count == 62


@pytest.mark.parametrize("body", [b'{"LineNbr":1}', b'{"value":[{"LineNbr":1}]}'])
def test_a_singleton_is_a_page_of_one_row_in_either_shape(body: bytes) -> None:
    assert DECODER.singleton(body) == Page([{"LineNbr": 1}])


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("LineNbr", "1.5"),
        ("LineNbr", "true"),
        ("LineNbr", '"many"'),
        ("QtyOnHand", '"many"'),
        ("QtyOnHand", '"1,5"'),
        ("QtyOnHand", "{}"),
        ("Active", "2"),
        ("InventoryCD", "5"),
        ("InventoryCD", '{"Value":"A"}'),
        ("LastModifiedDateTime", "1654041600"),
    ],
)
def test_another_value_than_the_catalog_says_is_an_error_that_names_it(
    column: str, text: str
) -> None:
    with pytest.raises(InconsistentAnswer, match=f"PX_Objects_IN_InventoryItem.*{column}"):
        value(column, text)


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"value":{}}', b'{"value":[1]}', b'"x"'])
def test_another_shape_is_an_error(body: bytes) -> None:
    with pytest.raises(InconsistentAnswer, match="run discovery again"):
        DECODER.page(body)


@pytest.mark.parametrize(
    "body", [b'{"value":[{"name":"Terms","kind":"EntitySet"}]}', b'{"value":[{}]}']
)
def test_rows_of_something_else_are_no_rows(body: bytes) -> None:
    """Such as those of a service document, to which a wrong nextLink may lead."""
    for decode in (DECODER.page, DECODER.singleton):
        with pytest.raises(InconsistentAnswer, match="none of the columns"):
            decode(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"value":[],"error":{"code":"","message":"x"}}', {"code": "", "message": "x"}),
        ('{"value":[{"LineNbr":1}],"error":{"message":"x"}}', {"message": "x"}),
        ('{"value":[],"odata.error":{"message":{"value":"x"}}}', {"message": {"value": "x"}}),
        ('{"error":"x"}', "x"),
    ],
)
def test_an_error_is_no_page_whatever_stands_beside_it(body: str, error: object) -> None:
    for decode in (DECODER.page, DECODER.singleton):
        with pytest.raises(ErrorInPayload) as raised:
            decode(body.encode())
        assert json.loads(raised.value.body) == {"error": error}


def test_a_message_instead_of_rows_is_an_error() -> None:
    body = b'{"message":"x","exceptionType":"y"}'
    with pytest.raises(ErrorInPayload) as raised:
        DECODER.page(body)
    assert raised.value.body == body


@pytest.mark.parametrize("member", ["error", "odata.error", "message"])
def test_an_error_that_is_none_is_none(member: str) -> None:
    assert DECODER.page(f'{{"{member}":null,"value":[]}}'.encode()).rows == []
    decoder = JsonDecoder("Setup", {member: edm.STRING})
    assert decoder.page(f'{{"value":[{{"{member}":"x"}}]}}'.encode()).rows == [{member: "x"}]


def test_columns_that_were_not_asked_for_are_told_if_others_are_missing() -> None:
    body = b'{"value":[{"LineNbr":1,"X":2,"@odata.etag":"e","X@odata.type":"t","odata.id":"i"}]}'
    decoder = JsonDecoder("PX_Objects_IN_InventoryItem", COLUMNS)
    for _ in range(2):
        assert decoder.page(body).unrequested == {"X"}
    whole = dict.fromkeys(COLUMNS, None) | {"X": 1}
    assert decoder.page(json.dumps({"value": [whole]}).encode()).unrequested == frozenset()


def test_a_singleton_without_any_column_is_no_row() -> None:
    with pytest.raises(InconsistentAnswer, match="none of the columns"):
        DECODER.singleton(b'{"@odata.context":"x"}')


WHOLE = b'{"@odata.count":2,"value":[{"LineNbr":1,"QtyOnHand":10.50},{"LineNbr":2}]}'


@given(st.integers(0, len(WHOLE) - 1))
def test_a_body_that_is_cut_off_anywhere_is_broken(length: int) -> None:
    with pytest.raises(BrokenPayload):
        DECODER.page(WHOLE[:length])


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"error":{"message":"x"}}',
        b"<html></html>",
        b'{"value":[]} x',
        b'{"value":[{"LineNbr":NaN}]}',
        b'{"value":[{"InventoryCD":"\xff"}]}',
        b"\x00" * 10,
    ],
)
def test_what_is_no_page_is_broken(body: bytes) -> None:
    with pytest.raises(BrokenPayload):
        DECODER.page(body)


@pytest.mark.parametrize("body", ["%s", '{"value":[{"LineNbr":%s}]}', '{"Other":%s,"value":[{}]}'])
def test_a_number_of_thousands_of_digits_is_no_value_of_a_page(body: str) -> None:
    with pytest.raises((BrokenPayload, InconsistentAnswer)):
        DECODER.page((body % ("9" * 5_000)).encode())


def test_a_row_without_a_column_that_reading_needs_is_an_error() -> None:
    decoder = JsonDecoder("Items", COLUMNS, ["LineNbr"])
    assert decoder.page(b'{"value":[{"LineNbr":null}]}').rows == [{"LineNbr": None}]
    with pytest.raises(InconsistentAnswer, match=r"LineNbr.*run discovery again"):
        decoder.page(b'{"value":[{"LineNbr":1},{"Active":true}]}')


def test_a_column_in_another_case_is_not_taken_for_one_without_values() -> None:
    decoder = JsonDecoder("Items", COLUMNS)
    assert decoder.page(b'{"value":[{"Active":true,"Other":2}]}').rows == [{"Active": True}]
    with pytest.raises(InconsistentAnswer, match="QtyOnHand of Items as QTYOnHand"):
        decoder.page(b'{"value":[{"LineNbr":1,"QTYOnHand":2}, {"LineNbr":2}]}')


def test_columns_that_differ_in_case_alone_are_two() -> None:
    decoder = JsonDecoder("Orders", {"A": COLUMNS["LineNbr"], "a": COLUMNS["LineNbr"]})
    assert decoder.page(b'{"value":[{"A":1},{"a":2}]}').rows == [{"A": 1}, {"a": 2}]


LINES = edm.from_schema(
    {
        "type": ["array", "null"],
        "items": {
            "type": ["object", "null"],
            "properties": {
                "LineNbr": {"type": ["integer", "null"]},
                "Item": {
                    "type": ["object", "null"],
                    "properties": {"InventoryCD": {"type": ["string", "null"]}},
                },
            },
        },
    }
)


@pytest.mark.parametrize(
    ("lines", "other"),
    [
        ('[{"lineNbr":1,"Item":null}]', "Lines/LineNbr of Orders as lineNbr"),
        (
            '[{"LineNbr":1,"Item":{"inventorycd":"A"}}]',
            "Lines/Item/InventoryCD of Orders as inventorycd",
        ),
        ('[{"LineNbr":1,"ITEM":{"InventoryCD":"A"}}]', "Lines/Item of Orders as ITEM"),
        ('[null,{"LineNbr":1},{"LineNbr":1,"Item":{"inventoryCD":"A"}}]', "as inventoryCD"),
    ],
)
def test_a_column_within_in_another_case_is_none_without_values_either(
    lines: str, other: str
) -> None:
    decoder = JsonDecoder("Orders", {"OrderNbr": edm.TYPES["Edm.String"], "Lines": LINES})
    row = '{{"OrderNbr":"1","Lines":{}}}'.format
    without = f'{{"value":[{row("null")},{row("[]")},{row("[{}]")}]}}'.encode()
    assert len(decoder.page(without).rows) == 3
    decoder = JsonDecoder("Orders", {"OrderNbr": edm.TYPES["Edm.String"], "Lines": LINES})
    body = f'{{"value":[{row("null")},{row("[]")},{row(lines)}]}}'.encode()
    with pytest.raises(InconsistentAnswer, match=other):
        decoder.page(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b'{"@odata.context":"x","value":null}', b'{"@odata.null":true}'],
)
def test_a_singleton_without_a_record_is_no_row(body: bytes) -> None:
    assert DECODER.singleton(body) == Page([])


@pytest.mark.parametrize("wrong", ['"LineNbr":"text"', '"LineNbr":[1]', '"LineNbr":{"A":1}'])
def test_json_that_is_cut_off_says_nothing_about_columns(wrong: str) -> None:
    body = ('{"value":[{' + wrong + '},{"LineNbr":2},{"LineNbr":3}]}').encode()
    with pytest.raises(InconsistentAnswer, match="run discovery again"):
        DECODER.page(body)
    for length in range(body.index(b"},") + 1, len(body)):
        with pytest.raises(BrokenPayload):
            DECODER.page(body[:length])
