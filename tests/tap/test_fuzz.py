"""Any response body is read or refused: without a crash, and without using up the memory.

The bodies are random bytes, damaged real bodies, and structures without end.
"""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox import atom
from sandbox.metadata import document
from sandbox.model import EntityType, Model, Navigation, Property
from tap_acumatica.discovery.entities import discover
from tap_acumatica.discovery.filters import DiscoverySettings
from tap_acumatica.odata import csdl, edm
from tap_acumatica.odata.errors import AcumaticaError, BrokenPayload
from tap_acumatica.odata.expand import parse
from tap_acumatica.odata.payload.atom import AtomDecoder
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.output.records import RecordConverter, RecordSettings

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = {
    "Code": "Edm.String",
    "Nbr": "Edm.Int32",
    "Qty": "Edm.Decimal",
    "On": "Edm.Boolean",
    "Date": "Edm.DateTime",
    "Any": "PX.Unknown",
    "Lines": "PX.Lines",
}
LINE = {"type": "object", "properties": {"Qty": {"type": "number"}, "Any": edm.UNKNOWN.schema}}
COLUMNS = {
    **{name: edm.TYPES.get(edm_type, edm.UNKNOWN) for name, edm_type in TYPES.items()},
    "Lines": edm.from_schema({"type": "array", "items": LINE}),
}
SETTINGS = [
    RecordSettings(convert_to_utc=convert, trim_strings=trim)
    for convert, trim in product([True, False], repeat=2)
]
ROW = (
    '{"Code":"A \\u00fc\\ud83d\\ude00","Nbr":-5,"Qty":"10.500","On":true,"Date":'
    '"2022-09-14T21:26:36.33"%s}'
)
JSON = (
    b'{"@odata.context":"x","@odata.count":2,"value":[%s],"@odata.nextLink":"x?$skip=2"}'
    % (ROW % ',"Any":{"A":[1.0,null]},"Lines":[{"Qty":1e3},null]').encode()
)
ATOM = atom.feed(
    "https://host/odata/",
    "X",
    [json.loads(ROW % "", parse_float=str, parse_int=str)],
    TYPES,
    count=2,
    next_link="x?$skip=2",
)


COMPLEX = """<Schema Namespace="PX.Api" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<ComplexType Name="Part"><Property Name="Value" Type="Edm.String" /></ComplexType>
<EnumType Name="Mode"><Member Name="None" Value="0" /></EnumType></Schema>"""
TARGET = EntityType("PX.File", own_key=("ID",), properties=(Property("ID", "Edm.Int32"),))
CSDL = document(
    Model(
        (
            EntityType(
                "PX.Order",
                "Order",
                own_key=("Nbr",),
                properties=(
                    Property("Nbr", "Edm.String", required=True, label="Order Nbr."),
                    Property("Total", "Edm.Decimal", restricted=True),
                    Property("Tags", "Collection(Edm.String)"),
                    Property("Part", "PX.Api.Part"),
                    Property("Mode", "PX.Api.Mode"),
                ),
                navigations=(Navigation("FileByID", TARGET.name),),
                sets=("PX_Order", "Order"),
            ),
            TARGET,
        ),
        COMPLEX,
    )
)


def read_rows(decoder: type[JsonDecoder | AtomDecoder]) -> Callable[[bytes], None]:
    decode = decoder("X", COLUMNS)

    def read(body: bytes) -> None:
        for part in (decode.page, decode.singleton):
            for record_settings in SETTINGS:
                with suppress(BrokenPayload, AcumaticaError):
                    list(RecordConverter(COLUMNS, None, record_settings).convert(part(body).rows))

    return read


def read_metadata(body: bytes) -> None:
    with suppress(BrokenPayload, AcumaticaError):
        expand = {"Order": parse("FileByID")}
        for stream in discover(csdl.parse([body]), DiscoverySettings(expand=expand)):
            assert stream.entry


READERS: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "json": (read_rows(JsonDecoder), JSON),
    "atom": (read_rows(AtomDecoder), ATOM),
    "metadata": (read_metadata, CSDL),
}
each_reader = pytest.mark.parametrize("reader", READERS)


def test_what_is_damaged_was_whole() -> None:
    for decode, body in ((JsonDecoder("X", COLUMNS), JSON), (AtomDecoder("X", COLUMNS), ATOM)):
        assert decode.page(body).count == 2
        assert str(decode.page(body).rows[0]["Qty"]) == "10.500"
    (stream,) = discover(csdl.parse([CSDL]), DiscoverySettings())
    assert VALUE in CSDL
    assert list(stream.schema["properties"]) == ["Nbr", "Total", "Tags", "Part", "Mode"]


@each_reader
@settings(deadline=None)
@given(body=st.binary(max_size=300))
def test_noise(reader: str, body: bytes) -> None:
    READERS[reader][0](body)


WORDS = st.sampled_from(
    [
        *(b"<", b">", b"</", b"/>", b"&", b"&#x1;", b"&#0;", b"<![CDATA[", b"]]>", b"<!--", b"<?x"),
        *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"1e999999999", b"-0", b"NaN"),
        *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"9" * 400),
        *(b"Collection(", b"m:null", b'"true"', b"xmlns", b"BaseType", b"<!DOCTYPE x>"),
        *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"Infinity"),
    ]
) | st.binary(max_size=3)


@each_reader
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_real_bodies_damaged(reader: str, data: st.DataObject) -> None:
    read, body = READERS[reader]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = start + data.draw(st.sampled_from([0, 1, 2, 8, 100]))
        repeated = data.draw(st.sampled_from([b"", body[start:end], body[end : end + 50]]))
        body = body[:start] + repeated + data.draw(WORDS) + body[end:]
    read(body)


VALUE = b'"Edm.String" /></Comp'
ENDLESS = {
    "json": [
        b'{"value":[{"Any":' + b"[" * 20_000,
        b'{"value":[{"Any":' + b"[" * 20_000 + b"]" * 20_000 + b"}]}",
        b'{"value":[{"Any":' + b"[" * 900 + b"]" * 900 + b"}]}",
        b'{"value":[{"Other":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}]}",
        b'{"value":[{"Qty":1e999999999}]}',
        b'{"value":[{"Qty":"-1e-999999999"}]}',
        b'{"value":[{"Lines":[{"Qty":1e999999999,"Any":1e999999999}]}]}',
        b'{"value":[{"Nbr":1e999999999}]}',
        b'{"value":[{"Qty":' + b"9" * 100_000 + b"}]}",
        b'{"@odata.count":' + b"9" * 100_000 + b',"value":[]}',
    ],
    "atom": [
        b"<a>" * 100_000,
        ATOM.partition(b"<entry>")[0] + b"<entry>" * 100_000,
        ATOM.replace(b"-5", b"9" * 100_000),
        ATOM.replace(b"10.500", b"1e999999999"),
        ATOM.replace(b'm:type="Edm.Decimal"', b'm:type="' + b"Collection(" * 20_000 + b'"'),
        ATOM.replace(b"<m:count>2", b"<m:count>" + b"9" * 100_000),
        b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 1000 + b'">]><a>' + b"&b;" * 1000 + b"</a>",
    ],
    "metadata": [
        b"<a>" * 100_000,
        b'<edmx:Edmx Version="4.0" xmlns:edmx="x">' + b'<Schema Namespace="a">' * 20_000,
        CSDL.replace(b"Edm.Decimal", b"Collection(" * 20_000 + b"Edm.Int32" + b")" * 20_000),
        CSDL.replace(VALUE, b'"Collection(PX.Api.Part)" /></Comp'),
        CSDL.replace(
            VALUE,
            b'"Edm.String" />'
            + b"".join(b'<Property Name="V%d" Type="PX.Api.Part" />' % n for n in range(100))
            + b"</Comp",
        ),
        CSDL.replace(b'Name="PX_Order"', b'Name="PX_Order"' + b" " * 100_000),
        CSDL.replace(b'Name="Order">', b'Name="Order" BaseType="PX.Order">'),
        b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 1000 + b'">]><a>' + b"&b;" * 1000 + b"</a>",
    ],
}


@pytest.mark.parametrize(
    ("reader", "number"),
    [(name, n) for name, bodies in ENDLESS.items() for n in range(len(bodies))],
)
def test_structure_without_end_takes_memory_in_proportion(reader: str, number: int) -> None:
    read, _ = READERS[reader]
    body = ENDLESS[reader][number]
    tracemalloc.start()
    try:
        read(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The measurement includes the rest of the process, such as logging and other threads.
    assert peak < 4_000_000 + 50 * len(body)


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20))
@example(float("1e308"))
def test_any_value_in_any_column(value: Any) -> None:
    for name in COLUMNS:
        READERS["json"][0](json.dumps({"value": [{name: value}]}).encode())
