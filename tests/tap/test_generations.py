"""Full reads beside the windows, and which rows the target retires after them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.singerlib import (
    ActivateVersionMessage,
    RecordMessage,
    SchemaMessage,
    StateMessage,
)
from support.running import NOW, Output, run, settings_for
from support.target import Target

from sandbox import Fault, Sandbox
from tap_acumatica.stream import EntityStream
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMS = "PX_Objects_CS_Terms"
ORDERS = "PX_Objects_SO_SOOrder"
HOUR = 3600
KINDS: dict[str, Any] = {
    "SCHEMA": SchemaMessage,
    "RECORD": RecordMessage,
    "STATE": StateMessage,
    "ACTIVATE_VERSION": ActivateVersionMessage,
}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=60, tenants=("A", "B")) as box:
        started = property(lambda _: int(box.clock.now().timestamp() * 1000))
        monkeypatch.setattr(TapAcumatica, "initialized_at", started)
        for tenant in box.tenants:
            box.fill(TERMS, 21, tenant=tenant)
            box.clock.advance(60)
        yield box


class Copy:
    """A target and the settings of the runs that fill it."""

    def __init__(self, box: Sandbox, *entities: str, **settings: Any) -> None:
        self.box = box
        self.target = Target()
        self.settings = settings_for(
            box,
            *entities,
            **{
                "emit_activate_version_messages": True,
                "full_read_interval": 24,
                "page_size": 10,
                "tenants": ["A"],
                "max_retry_time": 0,
                **settings,
            },
        )

    def run(self, hours: float = 0, **changes: Any) -> Output:
        """Run some hours later."""
        self.box.clock.advance(hours * HOUR)
        output = run({**self.settings, **changes}, state=self.target.state)
        self.receive(output.messages)
        return output

    def receive(self, messages: list[dict[str, Any]]) -> None:
        self.target.receive(KINDS[each["type"]].from_dict(dict(each)) for each in messages)

    def codes(self, stream: str = TERMS, column: str = "TermsID") -> list[Any]:
        return sorted((row["_tenant"], row[column]) for row in self.target.rows(stream))

    def source(self, stream: str = TERMS, column: str = "TermsID") -> list[Any]:
        tenants = self.settings["tenants"]
        return sorted((t, row[column]) for t in tenants for row in self.box.rows(stream, t))

    def delete(self, number: int = 1, stream: str = TERMS, tenant: str = "A") -> None:
        for row in self.box.rows(stream, tenant)[:number]:
            key = {"TermsID": row["TermsID"]}
            assert self.box.delete(stream, key, tenant)


def versions(output: Output) -> set[int]:
    return {each["version"] for each in output.messages if each["type"] == "RECORD"}


def activated(output: Output) -> list[int]:
    return [each["version"] for each in output.messages if each["type"] == "ACTIVATE_VERSION"]


def fields(copy: Copy, stream: str = TERMS) -> list[dict[str, Any]]:
    return [part["generation"] for part in copy.target.state["bookmarks"][stream]["partitions"]]


def test_a_deleted_row_leaves_the_target_with_the_next_generation(box: Sandbox) -> None:
    copy = Copy(box, TERMS)
    first = copy.run()
    loaded = versions(first)
    assert len(loaded) == 1
    assert not activated(first), "a first load retires nothing"
    copy.delete()
    window = copy.run(0.1)
    assert versions(window) <= loaded
    assert not activated(window)
    assert copy.codes() != copy.source()
    due = copy.run(24)
    assert due.error is None
    (version,) = activated(due)
    assert versions(due) == {version}
    assert version > max(loaded)
    assert copy.codes() == copy.source()
    types = due.types()
    assert types.index("ACTIVATE_VERSION") > max(i for i, t in enumerate(types) if t == "RECORD")
    quiet = copy.run(1)
    assert versions(quiet) <= {version}
    assert not activated(quiet)


def test_a_generation_leaves_the_bookmark_as_a_window_does(box: Sandbox) -> None:
    copies = [Copy(box, TERMS), Copy(box, TERMS, full_read_interval=None)]
    for copy in copies:
        copy.run()
    box.clock.advance(30 * HOUR)
    for copy in copies:
        copy.run()
    bookmarks = [
        copy.target.state["bookmarks"][TERMS]["partitions"][0]["replication_key_value"]
        for copy in copies
    ]
    assert bookmarks[0] == bookmarks[1]


def test_without_activate_version_a_generation_only_reads_again(box: Sandbox) -> None:
    copy = Copy(box, TERMS, emit_activate_version_messages=False, tenants=["A"])
    copy.run()
    output = copy.run(25)
    assert len(output.records()) >= len(box.rows(TERMS, "A"))
    assert not activated(output)
    assert all("version" not in each for each in output.messages if each["type"] == "RECORD")
    assert not copy.run(1).records()


def test_no_interval_leaves_the_windows_alone(box: Sandbox) -> None:
    copy = Copy(box, TERMS, full_read_interval={"SO*": 1})
    copy.run()
    assert not copy.run(10_000).records()


def test_first_generations_are_spread_over_the_interval(box: Sandbox) -> None:
    copy = Copy(box, TERMS, ORDERS)
    copy.run()
    due: dict[str, int] = {}
    for hour in range(1, 25):
        output = copy.run(1)
        for message in output.messages:
            if message["type"] == "ACTIVATE_VERSION":
                due.setdefault(message["stream"], hour)
    assert set(due) == {TERMS, ORDERS}
    assert due[TERMS] != due[ORDERS]


def test_a_loss_above_the_guard_is_not_believed(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Copy(box, TERMS)
    copy.run()
    rows = box.rows(TERMS, "A")
    before = copy.codes()
    copy.delete(len(rows) // 2)
    with caplog.at_level(logging.WARNING):
        held = copy.run(25)
    assert not activated(held)
    assert held.error is None
    assert copy.codes() == before
    said = [each.getMessage() for each in caplog.records if "last full read" in each.getMessage()]
    assert len(said) == 1
    for part in (TERMS, f"{len(rows)} rows", f"has {len(box.rows(TERMS, 'A'))} now"):
        assert part in said[0]
    assert not copy.run(1).records(), "not in each run"
    assert not activated(copy.run(24)), "a loss is not believed the second time either"
    believed = copy.run(25, full_read_max_loss=100)
    assert len(activated(believed)) == 1
    assert copy.codes() == copy.source()
    assert len(activated(copy.run(25))) == 1


@pytest.mark.parametrize("changes", [{"start_date": "2000-01-01"}, {"include_archived": False}])
def test_what_leaves_rows_out_retires_nothing(
    box: Sandbox, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    copy = Copy(box, TERMS, **changes)
    copy.run()
    copy.delete()
    with caplog.at_level(logging.WARNING):
        output = copy.run(25)
    assert output.records()
    assert not activated(output)
    assert caplog.text.count("Nothing of") == 1
    assert not copy.run(1).records()


def test_all_tenants_have_one_version(box: Sandbox) -> None:
    copy = Copy(box, TERMS, tenants=["A", "B"])
    copy.run()
    copy.delete(tenant="B")
    box.faults.add(Fault("unavailable", match=f"/t/B/.*{TERMS}"))
    failed = copy.run(25)
    assert failed.error
    assert not activated(failed)
    box.faults.clear()
    second = copy.run(25)
    assert second.error is None
    (version,) = activated(second)
    assert versions(second) == versions(failed) == {version}
    assert {r["_tenant"] for r in second.records()} == {"B"}, "the other is complete"
    assert copy.codes() == copy.source()


def test_a_tenant_that_stays_refused_makes_no_other_due(box: Sandbox) -> None:
    copy = Copy(box, TERMS, tenants=["A", "B"], full_read_interval=200)
    copy.run()
    box.forbid(TERMS, tenant="B")
    assert copy.run(201).records()
    before = copy.codes()
    for _ in range(20):
        output = copy.run(9)
        assert not output.records()
        assert not activated(output)
    assert copy.codes() == before
    assert {r["_tenant"] for r in copy.run(30).records()} == {"A"}


def test_a_new_tenant_starts_no_generation(box: Sandbox) -> None:
    copy = Copy(box, TERMS)
    copy.run()
    copy.run(25)
    copy.settings["tenants"] = ["A", "B"]
    output = copy.run(1)
    assert {r["_tenant"] for r in output.records()} == {"B"}
    assert versions(output) == {fields(copy)[0]["version"]}
    assert not activated(output)
    assert len(activated(copy.run(25))) == 1
    assert copy.codes() == copy.source()


def test_a_tenant_that_is_not_read_keeps_its_rows(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Copy(box, TERMS, tenants=["A", "B"])
    copy.run()
    before = copy.codes()
    with caplog.at_level(logging.WARNING):
        output = copy.run(25, tenants=["A"])
    assert output.records()
    assert not activated(output)
    assert caplog.text.count("knows the tenant B") == 1
    assert copy.codes() == before


@pytest.mark.parametrize("settings", [{}, {"tracking_type": "none"}])
@pytest.mark.parametrize("days", [1, 8])
def test_a_full_read_goes_on_behind_its_last_state(
    box: Sandbox, settings: dict[str, Any], days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EntityStream, "STATE_MSG_FREQUENCY", 7)
    box.fill(ORDERS, 50, tenant="A")
    copy = Copy(box, ORDERS, max_pool_size=1, **settings)
    copy.run()
    box.faults.add(Fault("unavailable", match=f"{ORDERS}.* g[te] '", after=3))
    failed = copy.run(25)
    assert failed.error
    assert not activated(failed)
    (generation,) = fields(copy, ORDERS)
    assert generation["place"]
    assert len(str(generation)) < 300
    box.faults.clear()
    again = copy.run(days * 24)
    if days == 1:
        assert again.error is None
        assert versions(again) == versions(failed)
        assert activated(again) == [generation["reading"]]
        assert len(again.records()) + generation["read"] <= len(box.rows(ORDERS, "A")) + 1
        assert copy.codes(ORDERS, "OrderNbr") == copy.source(ORDERS, "OrderNbr")
    else:
        assert versions(again) != versions(failed), "after a week it begins anew"
        assert len(again.records()) >= len(box.rows(ORDERS, "A"))


@pytest.mark.parametrize("records", [1, 7])
@pytest.mark.parametrize("settings", [{}, {"tracking_type": "none"}])
def test_a_full_read_does_not_go_on_over_rows_without_a_version(
    box: Sandbox, settings: dict[str, Any], records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without versions, however soon it ends, takes them from rows that were read before."""
    monkeypatch.setattr(EntityStream, "STATE_MSG_FREQUENCY", 1)
    box.fill(ORDERS, 50, tenant="A")
    copy = Copy(box, ORDERS, max_pool_size=1, **settings)
    copy.run()
    box.faults.add(Fault("unavailable", match=f"{ORDERS}.* g[te] '", after=3))
    copy.run(25)
    assert fields(copy, ORDERS)[0]["place"]
    box.faults.clear()
    for order in box.rows(ORDERS, "A")[:2]:
        key = {name: order[name] for name in ("OrderType", "OrderNbr")}
        box.update(ORDERS, key, {"OrderDesc": "changed"}, tenant="A")
    plain = {**copy.settings, "emit_activate_version_messages": False}
    output = run(plain, state=copy.target.state)
    kept = [message["type"] for message in output.messages]
    ends = [at for at, kind in enumerate(kept) if kind == "RECORD"][:records]
    copy.receive(output.messages[: ends[-1] + 2])  # with the state behind the last record
    for hours in (1, 25):
        assert copy.run(hours).error is None
        assert copy.codes(ORDERS, "OrderNbr") == copy.source(ORDERS, "OrderNbr")
