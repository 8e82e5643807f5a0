"""With data_format atom, OData 3 services are read as Atom feeds, with the same records as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import requests_mock
from support.running import run

from sandbox import atom

if TYPE_CHECKING:
    import pytest
    import requests

STREAM = "GI_Stock"
ROOT = "https://host/odata/Company/"
TYPES = {"InventoryID": "Edm.String", "QtyOnHand": "Edm.Decimal", "ModifiedOn": "Edm.DateTime"}
ROWS: list[dict[str, Any]] = [
    {"InventoryID": "A ", "QtyOnHand": "1999.000000", "ModifiedOn": "2022-09-14T21:26:36.33"},
    {"InventoryID": "B\r\n<ü>", "QtyOnHand": None, "ModifiedOn": "2022-09-15T00:00:00"},
    {"InventoryID": None, "QtyOnHand": "-0.10", "ModifiedOn": None},
]
SCHEMA: dict[str, dict[str, Any]] = {
    "InventoryID": {"type": ["string", "null"]},
    "QtyOnHand": {"type": ["number", "null"]},
    "ModifiedOn": {"type": ["string", "null"], "format": "date-time"},
}


def catalog(location: str) -> dict[str, Any]:
    root = {"breadcrumb": [], "metadata": {"inclusion": "available", "selected": True}}
    stream = {
        "tap_stream_id": STREAM,
        "stream": STREAM,
        "table_name": location,
        "key_properties": [],
        "replication_method": "FULL_TABLE",
        "schema": {"type": "object", "properties": SCHEMA},
        "metadata": [root],
    }
    return {"streams": [stream]}


def respond(request: requests.Request, context: Any) -> bytes:
    """A page of one row, in the requested format, with a link to the next page."""
    options = request.qs  # type: ignore[attr-defined] # requests-mock's
    start = int((options.get("at") or options.get("$skip") or ["0"])[0])
    rows = ROWS[start : start + 1]
    link = f"{request.path}?at={start + 1}" if start + 1 < len(ROWS) else None  # type: ignore[attr-defined]
    if request.headers["Accept"] == "application/atom+xml":
        context.headers["Content-Type"] = atom.CONTENT_TYPE
        return atom.feed(ROOT, "Stock", rows, TYPES, next_link=link)
    context.headers["Content-Type"] = "application/json"
    return json.dumps({"value": rows, **({"@odata.nextLink": link} if link else {})}).encode()


def read(location: str, data_format: str) -> tuple[list[dict[str, Any]], list[Any]]:
    settings = {
        "url": "https://host",
        "tenants": None,
        "username": "reader",
        "password": "of-feeds",
        "data_format": data_format,
        "client_side_paging": False,
    }
    with requests_mock.Mocker() as server:
        server.get(requests_mock.ANY, content=respond)
        server.post(requests_mock.ANY, status_code=204)
        output = run(settings, catalog=catalog(location))
        requests = [request for request in server.request_history if request.method == "GET"]
    assert output.error is None
    return output.records(STREAM), requests


def test_records_are_those_of_json() -> None:
    records, requests = read("gi/v3/Stock", "atom")
    assert records == read("gi/v3/Stock", "json")[0]
    assert records == [
        {
            "InventoryID": "A ",
            "QtyOnHand": Decimal("1999.000000"),
            "ModifiedOn": "2022-09-14T21:26:36.33Z",
        },
        {"InventoryID": "B\r\n<ü>", "QtyOnHand": None, "ModifiedOn": "2022-09-15T00:00:00Z"},
        {"InventoryID": None, "QtyOnHand": Decimal("-0.10"), "ModifiedOn": None},
    ]
    assert len(requests) == len(ROWS) + 2, "and two that prove the end"
    assert {request.headers["Accept"] for request in requests} == {"application/atom+xml"}
    assert requests[0].qs["$format"] == ["atom"]


def test_services_of_odata_4_are_read_as_json_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, requests = read("dac/v4/Stock", "atom")
    assert {request.headers["Accept"] for request in requests} == {"application/json"}
    assert "1 of the streams are read as JSON in spite of data_format" in caplog.text
    caplog.clear()
    read("gi/v3/Stock", "atom")
    assert "in spite of data_format" not in caplog.text
