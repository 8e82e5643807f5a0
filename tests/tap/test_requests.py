"""As few requests as can be, and light ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.running import discover, run, select_all, settings_for

if TYPE_CHECKING:
    import pytest

    from sandbox import Sandbox

ORDERS = "PX_Objects_SO_SOOrder"


def test_only_selected_columns_are_asked_for(box: Sandbox) -> None:
    settings = settings_for(box, "SOOrder")
    catalog = select_all(discover(settings))
    for each in catalog["streams"][0]["metadata"]:
        if each["breadcrumb"] and each["metadata"]["inclusion"] == "available":
            each["metadata"]["selected"] = each["breadcrumb"][-1] == "OrderDesc"
    box.reset_counters()
    output = run(settings, catalog=catalog)
    assert output.error is None
    asked = {
        name for each in box.log if each.kind == "data" for name in each.query["$select"].split(",")
    }
    assert asked == {"OrderDesc", "OrderNbr", "OrderType", "LastModifiedDateTime"}
    assert {frozenset(record) for record in output.records()} == {frozenset(asked)}


def test_answers_come_compressed(box: Sandbox) -> None:
    run(settings_for(box, "SOOrder"))
    assert {"gzip" in each.headers["accept-encoding"] for each in box.log} == {True}


def test_all_requests_of_a_run_take_one_connection(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    accept = box.server.process_request

    def count(request: Any, address: Any) -> None:
        opened.append(address)
        accept(request, address)

    monkeypatch.setattr(box.server, "process_request", count)
    output = run(settings_for(box, "SOOrder", "SOLine", "Terms", page_size=50))
    assert output.error is None
    assert box.counters().data_requests > 10
    assert len(opened) == 1


def test_a_run_with_a_catalog_asks_for_no_metadata_and_proves_its_end_by_counts(
    box: Sandbox,
) -> None:
    settings = settings_for(box, "Terms", tracking_type="none")
    catalog = select_all(discover(settings))
    box.reset_counters()
    assert run(settings, catalog=catalog).error is None
    assert [each.kind for each in box.log] == ["data", "logout"]
