"""Each answer belongs to its request, whatever a server or something on the way sends."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hostile import Call, HostileServer, answer, hostile_server

from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import Address
from tap_acumatica.odata.errors import AcumaticaError, InconsistentAnswer, RequestFailed
from tap_acumatica.odata.expand import Expansion
from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.http.client import Client, ClientSettings
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.odata.query import Query
from tap_acumatica.odata.service import QueryLimits, Service

SETS = ("PX_Objects_SO_SOOrder", "PX_Objects_AR_ARInvoice", "PX_Objects_GL_GLTran")
# Two of them have the same key, and all have some columns in common.
COLUMNS = {
    SETS[0]: ("DocType", "RefNbr", "LastModifiedDateTime", "OrderTotal"),
    SETS[1]: ("DocType", "RefNbr", "LastModifiedDateTime", "DocBal"),
    SETS[2]: ("LastModifiedDateTime", "TranDesc"),
}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time here."""
    pauses: list[float] = []
    monkeypatch.setattr(
        "backoff._sync.time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    )
    return pauses


def set_of(call: Call) -> str:
    return call.target.partition("?")[0].rpartition("/")[2]


def rows_of(name: str) -> list[dict[str, str]]:
    return [{column: f"{name} {column} {i}" for column in COLUMNS[name]} for i in range(2)]


def page(name: str, *, context: bool = True, rows: list[dict[str, Any]] | None = None) -> bytes:
    envelope = {"@odata.context": f"https://host/odatav4/$metadata#{name}"} if context else {}
    return answer(json.dumps({**envelope, "value": rows_of(name) if rows is None else rows}))


class Reader:
    """Reads sets from a server on one connection."""

    def __init__(self, server: HostileServer, limits: QueryLimits | None = None) -> None:
        self.client = Client(ClientSettings(timeout=5, max_retry_time=60), BasicAuth("u", "x"))
        address = Address.parse(f"{server.site}/odatav4/Company")
        self.service = Service(self.client, address, None, limits or QueryLimits())
        self._decoders = {
            name: JsonDecoder(name, dict.fromkeys(columns, edm.STRING))
            for name, columns in COLUMNS.items()
        }

    def rows(self, name: str) -> list[dict[str, Any]]:
        query = Query(name, COLUMNS[name], top=500)
        return self.service.read(query, name, self._decoders[name].page).content.rows


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("status", ["103 Early Hints", "102 Processing", "199 Whatever"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_informational_answer_moves_no_answer_to_another_request(
    status: str, at: int, context: bool
) -> None:
    informed: list[int] = []

    def reply(call: Call) -> bytes:
        sent = page(set_of(call), context=context)
        if len(server.calls) == at + 1:
            informed.append(call.connection)
            sent = f"HTTP/1.1 {status}\r\nLink: </x>\r\n\r\n".encode() + sent
        return sent

    with hostile_server(reply) as server:
        reader = Reader(server)
        for name in (*SETS, *SETS):
            assert reader.rows(name) == rows_of(name)
        assert informed
        assert {call.connection for call in server.calls[at + 1 :]} == {1}


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(SETS), min_size=2, max_size=6),
    st.sets(st.integers(0, 8), min_size=1),
    st.booleans(),
    st.booleans(),
)
def test_rows_of_one_set_never_arrive_as_those_of_another(
    names: list[str], repeated: set[int], early: bool, context: bool
) -> None:
    """Answers come twice: at once, or in front of the next answer on the connection."""
    last: dict[int, bytes] = {}

    def reply(call: Call) -> bytes:
        sent = page(set_of(call), context=context)
        if len(server.calls) - 1 in repeated:
            other = sent if early else last.get(call.connection, b"")
        else:
            other = b""
        last[call.connection] = sent
        return other + sent

    with hostile_server(reply) as server:
        reader = Reader(server)
        for name in names:
            try:
                rows = reader.rows(name)
            except AcumaticaError:
                continue
            assert rows == rows_of(name)


@pytest.mark.parametrize("context", [True, False])
def test_an_answer_to_another_request_is_asked_for_on_another_connection(context: bool) -> None:
    def reply(call: Call) -> bytes:
        return page(SETS[0] if call.connection == 0 else set_of(call), context=context)

    with hostile_server(reply) as server:
        reader = Reader(server)
        assert reader.rows(SETS[0]) == rows_of(SETS[0])
        assert reader.rows(SETS[1]) == rows_of(SETS[1])
        assert [call.connection for call in server.calls] == [0, 0, 1]
        assert reader.client.retries == 1


@pytest.mark.parametrize("context", [True, False])
def test_what_stays_the_answer_to_another_request_is_an_error(context: bool) -> None:
    with hostile_server(lambda _: page(SETS[0], context=context)) as server:
        with pytest.raises(InconsistentAnswer, match=f"request for {SETS[1]} with rows"):
            Reader(server).rows(SETS[1])
        assert len(server.calls) == 2


def test_a_server_may_leave_nulls_out() -> None:
    sparse = [{"DocType": "SO", "OrderTotal": "1"}, {"RefNbr": "2"}, {"DocType": "IN"}]
    rotated = [sparse[i:] + sparse[:i] for i in range(3)]
    with hostile_server(lambda call: page(SETS[0], rows=rotated[call.number])) as server:
        reader = Reader(server)
        for rows in rotated:
            assert reader.rows(SETS[0]) == rows
        assert len(server.calls) == 3


def test_without_a_selection_any_columns_may_come() -> None:
    rows = [{"DocType": "SO", "Other": "1"}]
    with hostile_server(lambda _: page(SETS[0], rows=rows)) as server:
        # The query string is longer than that, so it has no $select.
        reader = Reader(server, QueryLimits(max_length=10))
        assert reader.rows(SETS[0]) == [{"DocType": "SO"}]


@pytest.mark.parametrize("end", ["", "/$entity"])
def test_an_answer_to_a_query_for_fewer_columns_is_another_one(end: str) -> None:
    """Its rows would have nulls where the set has values."""
    few = "DocType,LastModifiedDateTime"
    whole = "DOCTYPE,RefNbr,LastModifiedDateTime, OrderTotal,Lines(DocType,Item(ID)),Extra"

    def reply(call: Call) -> bytes:
        columns = few if call.connection == 0 else whole
        body = {
            "@odata.context": f"https://host/$metadata#{SETS[0]}({columns}){end}",
            "value": [{"DocType": "SO", "LastModifiedDateTime": "x"}],
        }
        return answer(json.dumps(body))

    with hostile_server(reply) as server:
        assert Reader(server).rows(SETS[0])
        assert [call.connection for call in server.calls] == [0, 1]


def test_a_selection_of_related_columns_alone_is_none_of_the_set() -> None:
    lines = Expansion("Lines", ("LineNbr",))
    context = f"https://host/$metadata#{SETS[0]}(Lines(LineNbr))"
    body = {"@odata.context": context, "value": [{"DocType": "SO", "Other": 1}]}
    with hostile_server(lambda _: answer(json.dumps(body))) as server:
        reader = Reader(server)
        # Without the columns of the set itself the query string is short enough.
        limits = QueryLimits(max_length=60)
        service = Service(reader.client, Address.parse(f"{server.site}/odatav4/A"), None, limits)
        query = Query(SETS[0], COLUMNS[SETS[0]], top=500, expand=(lines,))
        decoder = JsonDecoder(SETS[0], dict.fromkeys(COLUMNS[SETS[0]], edm.STRING))
        assert service.read(query, SETS[0], decoder.page).content.rows == [{"DocType": "SO"}]
        assert "Lines($select=LineNbr)" in unquote(server.calls[0].target)
        assert "DocType" not in server.calls[0].target


@pytest.mark.parametrize(
    ("name", "fragment", "columns"),
    [
        ("Orders", "Orders(A,B(C,D(E)),F)", {"a", "b", "f"}),
        ("Orders", "Orders(A%2CB)/$entity", {"a", "b"}),
        ("Orders", "Orders", None),
        ("Orders", "Orders()", None),
        ("Orders", "Orders(*)", None),
        ("Orders", "Orders(A,*,B())", None),
        ("Orders", "Orders(A,B(C)", None),
        ("Orders", "Orders(A," + "(" * 200_000 + ")" * 200_000 + "B)", {"a", "b"}),
        ("Orders", "Orders('5')/Lines", None),
        ("Sales (2024)", "Sales (2024)", None),
    ],
)
def test_an_answer_may_say_which_columns_it_has(
    name: str, fragment: str, columns: set[str] | None
) -> None:
    decoder = JsonDecoder(name, {"A": edm.STRING})
    body = {"@odata.context": f"https://host/$metadata#{fragment}", "value": []}
    assert decoder.page(json.dumps(body).encode()).selected == columns


def test_annotations_are_no_columns() -> None:
    rows = [{"@odata.etag": "x", "DocType": "SO", "RefNbr@odata.type": "y", "odata.type": "z"}]
    with hostile_server(lambda _: page(SETS[0], rows=rows)) as server:
        assert Reader(server).rows(SETS[0]) == [{"DocType": "SO"}]


@pytest.mark.parametrize(
    "odd",
    [
        answer("", "204 No Content") + page(SETS[0]),
        answer("{}", "404 Not Found") + page(SETS[0]),
        answer("", "503 Service Unavailable") + page(SETS[0]),
        answer("{", length=1) + page(SETS[0]),
        answer('{"value":[],"error":{"message":"x"}}') + page(SETS[0]),
        answer("<html></html>", "403 Forbidden", "text/html") + page(SETS[0]),
    ],
)
def test_a_connection_with_an_odd_answer_is_not_used_again(odd: bytes) -> None:
    def reply(call: Call) -> bytes:
        return odd if len(server.calls) == 2 else page(set_of(call))

    with hostile_server(reply) as server:
        reader = Reader(server)
        reader.rows(SETS[0])
        with suppress(RequestFailed):
            reader.rows(SETS[1])
        assert reader.rows(SETS[2]) == rows_of(SETS[2])
        assert [call.connection for call in server.calls][1:3] == [0, 1]


@pytest.mark.parametrize("odd", [answer("", "204 No Content"), b"HTTP/1.1 103 Hints\r\n\r\n"])
def test_a_connection_with_an_odd_answer_about_the_release_is_not_used_again(odd: bytes) -> None:
    def reply(call: Call) -> bytes:
        if call.target == "/entity":
            return odd + page(SETS[0])
        return page(set_of(call))

    with hostile_server(reply) as server:
        reader = Reader(server)
        reader.rows(SETS[0])
        assert reader.service.release() is None
        # Both have the same key, so the set tells them apart only if it is named.
        assert reader.rows(SETS[1]) == rows_of(SETS[1])
        assert [call.connection for call in server.calls] == [0, 0, 1]


# Which set an answer is about


CONTEXTS: list[tuple[str, str]] = [
    ("PX_Objects_IN_InventoryItem", "PX_Objects_IN_InventoryItem"),
    ("PX_Objects_IN_InventoryItem", "PX_Objects_IN_InventoryItem(InventoryCD,SiteCD(QtyOnHand))"),
    ("PX_Objects_IN_InventoryItem", "px_objects_in_inventoryitem/$entity"),
    ("PX_Objects_IN_InventoryItem", "InventoryItem"),
    ("PX_Objects_IN_InventoryItem", "StockItem(InventoryCD)"),
    ("PX_Objects_IN_InventoryItem", "PX.Objects.IN.InventoryItem"),
    ("PX_Objects_IN_InventoryItem", "Collection(PX.Objects.IN.InventoryItem)"),
    ("PX_Objects_GL_GLSetup", "PX_Objects_GL_GLSetup/$entity"),
    ("Modified Stock Items", "Modified%20Stock%20Items"),
    ("Modified Stock Items", "Modified Stock Items&$select=InventoryID"),
    ("Modified Stock Items", "ModifiedStockItems_WithParameters"),
    ("Modified Stock Items", "Default.ModifiedStockItems"),
    ("PM-Project Summary", "PMProjectSummary"),
    ("2 Update", "_2Update"),
    ("P&L", "P%26L"),
    ("P&L", "P&L"),
    ("Sales (2024)", "Sales%20(2024)"),
    ("Sales (2024)", "Sales%20(2024)(Amount)"),
    ("v1.2 Orders", "v1.2%20Orders"),
    ("Größe", "Gr%C3%B6%C3%9Fe"),
    ("Orders", "$ref"),
    ("Orders", "Edm.String"),
    ("Orders", ""),
]
OTHERS: list[tuple[str, str]] = [
    ("PX_Objects_SO_SOOrder", "PX_Objects_SO_SOOrderSite"),
    ("PX_Objects_SO_SOOrder", "PX_Objects_SO_SOLine(OrderNbr)"),
    ("PX_Objects_SO_SOOrder", "Customer%20Contacts"),
    ("Customer Contacts", "PX_Objects_SO_SOOrder"),
    ("Customer Contacts", "CustomerContacts2"),
    ("Customer Contacts", "Modified%20Stock%20Items&$select=InventoryID"),
    ("P&L", "P%26M"),
    ("v1.2 Orders", "v1.3%20Orders"),
]


@pytest.mark.parametrize("member", ["@odata.context", "odata.metadata"])
def test_the_set_that_an_answer_names_is_the_one_that_was_asked_for(member: str) -> None:
    for name, fragment in CONTEXTS:
        decoder = JsonDecoder(name, {"A": edm.STRING})
        body = {member: f"https://host/odatav4/$metadata#{fragment}", "value": [{"A": "1"}]}
        assert decoder.page(json.dumps(body).encode()).rows == [{"A": "1"}]
    for name, fragment in OTHERS:
        decoder = JsonDecoder(name, {"A": edm.STRING})
        for rows in ([], [{"A": "1"}]):
            body = {member: f"https://host/odatav4/$metadata#{fragment}", "value": rows}
            with pytest.raises(InconsistentAnswer, match="with rows of"):
                decoder.page(json.dumps(body).encode())


@pytest.mark.parametrize("context", [None, 5, ["x"], "", "https://host/$metadata", "$metadata#"])
def test_an_answer_need_not_name_its_set(context: object) -> None:
    body = json.dumps({"@odata.context": context, "value": [{"A": "1"}]}).encode()
    assert JsonDecoder("Orders", {"A": edm.STRING}).page(body).rows == [{"A": "1"}]


@given(st.text(min_size=1), st.sampled_from(["@odata.context", "odata.metadata"]))
def test_no_context_is_too_strange(fragment: str, member: str) -> None:
    body = json.dumps({member: f"$metadata#{fragment}", "value": []}).encode()
    with suppress(InconsistentAnswer):
        assert JsonDecoder("Orders", {"A": edm.STRING}).page(body).rows == []
