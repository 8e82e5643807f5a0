"""A run makes as few and as small requests as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.logging_in import oauth_settings
from support.running import discover, run, select_all, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Sandbox

TERMS = "PX_Objects_CS_Terms"
ORDERS = "PX_Objects_SO_SOOrder"


def test_only_selected_columns_are_asked_for(box: Sandbox) -> None:
    settings = settings_for(box, "SOOrder")
    catalog = select_all(discover(settings))
    for entry in catalog["streams"][0]["metadata"]:
        if entry["breadcrumb"] and entry["metadata"]["inclusion"] == "available":
            entry["metadata"]["selected"] = entry["breadcrumb"][-1] == "OrderDesc"
    box.reset_counters()
    output = run(settings, catalog=catalog)
    assert output.error is None
    selects = [request.query["$select"] for request in box.log if request.kind == "data"]
    requested = {name for select in selects for name in select.split(",")}
    assert requested == {"OrderDesc", "OrderNbr", "OrderType", "LastModifiedDateTime"}
    assert {frozenset(record) for record in output.records()} == {frozenset(requested)}


def test_answers_come_compressed(box: Sandbox) -> None:
    run(settings_for(box, "SOOrder"))
    assert {"gzip" in request.headers["accept-encoding"] for request in box.log} == {True}


def test_all_requests_of_a_run_take_one_connection(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = []
    accept = box.server.process_request

    def count(request: Any, address: Any) -> None:
        connections.append(address)
        accept(request, address)

    monkeypatch.setattr(box.server, "process_request", count)
    output = run(settings_for(box, "SOOrder", "SOLine", "Terms", page_size=50))
    assert output.error is None
    assert box.counters().data_requests > 10
    assert len(connections) == 1


def test_a_run_with_a_catalog_asks_for_no_metadata_and_looks_behind_the_last_row(
    box: Sandbox,
) -> None:
    settings = settings_for(box, "Terms", tracking_type="none")
    catalog = select_all(discover(settings))
    box.reset_counters()
    assert run(settings, catalog=catalog).error is None
    assert [request.kind for request in box.log] == ["data", "data", "logout"]
    page, look = box.log[:2]
    assert "$skip" not in page.query
    assert (look.query["$skip"], look.query["$select"]) == (str(len(box.rows(TERMS))), "TermsID")


@pytest.mark.parametrize("auth", ["basic", "oauth"])
def test_a_run_changes_nothing(box: Sandbox, tmp_path: Path, auth: str) -> None:
    settings = settings_for(box, "SOOrder", "Terms")
    if auth == "oauth":
        tokens = {
            "token_file": str(tmp_path / "t.json"),
            "refresh_token": box.grant().refresh_token,
        }
        settings = oauth_settings(box, entities=["Terms"], **tokens)
    assert run(settings).error is None
    posts = {request.path.lower() for request in box.log if request.method != "GET"}
    assert {request.method for request in box.log} == {"GET", "POST"}
    assert posts <= {"/entity/auth/logout", "/identity/connect/token"}
    assert ("/identity/connect/token" in posts) == (auth == "oauth")
