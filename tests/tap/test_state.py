"""The state knows what it was made with: the instance, and the columns of each stream."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from support.running import (
    COMMAND,
    NOW,
    Output,
    discover,
    last_line,
    run,
    run_command,
    select_all,
    settings_for,
    write_json,
)

from sandbox import Fault, Sandbox
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.run.failures import StreamsFailed

if TYPE_CHECKING:
    from pathlib import Path

TERMS = "PX_Objects_CS_Terms"
SALES = "PX_Objects_SO_SOOrder"
LEDGER = "PX_Objects_GL_GLTran"
USERS = "PX_SM_Users"


# The instance


@pytest.mark.parametrize("tenants", [{}, {"tenants": ["Company"]}])
def test_a_state_of_another_site_reads_nothing(box: Sandbox, tenants: dict[str, Any]) -> None:
    """A tenant called Company is everybody's."""
    with Sandbox(now=NOW) as other:
        state = run(settings_for(other, SALES, USERS, **tenants)).state
        box.reset_counters()
        config = settings_for(box, SALES, USERS, **tenants)
        refused = run(config, state=state)
        assert isinstance(refused.error, SettingsError)
        old, new = (each.url.removeprefix("http://") for each in (other, box))
        assert f"of the site {old}, but the setting url leads to {new}" in str(refused.error)
        assert refused.messages == []
        assert box.counters().data_requests == 0
        moved = run(config, state={**state, "site": new})
        assert moved.error is None
        assert moved.records(SALES) == []
        assert moved.state["site"] == new


def test_a_state_of_another_tenant_reads_nothing() -> None:
    with Sandbox(now=NOW, tenants=("A", "B"), rows=30) as box:
        config = settings_for(box, SALES)
        first = run({**config, "url": f"{box.url}/t/A"})
        assert first.error is None
        refused = run({**config, "url": f"{box.url}/t/B/api/odata/dac"}, state=first.state)
        assert "of the tenant A, but the settings lead to B" in str(refused.error)
        for same in ("t/A/api/odata/dac", "t/a", "odatav4/A"):
            again = run({**config, "url": f"{box.url}/{same}"}, state=first.state)
            assert again.error is None
            assert again.records() == []
        named = run({**config, "tenants": ["B"]}, state=first.state)
        assert named.error is None, "its bookmarks are partitions of their own"
        assert len(named.records()) == len(box.rows(SALES, "B"))
        back = run({**config, "url": f"{box.url}/t/B"}, state=named.state)
        assert "of the tenant A" in str(back.error)


def test_a_state_from_before_states_named_their_site_is_taken(box: Sandbox) -> None:
    config = settings_for(box, SALES)
    state = run(config).state
    again = run(config, state={"bookmarks": state["bookmarks"]})
    assert again.error is None
    assert again.records() == []
    assert again.state == state


def test_each_state_names_its_site_and_a_refused_one_ends_the_command(
    box: Sandbox, tmp_path: Path
) -> None:
    config = write_json(tmp_path / "c.json", settings_for(box, TERMS))
    finished = run_command("--config", config)
    states = [
        message["value"]
        for message in map(json.loads, finished.stdout.splitlines())
        if message["type"] == "STATE"
    ]
    assert {state["site"] for state in states} == {box.url.removeprefix("http://")}
    state = write_json(tmp_path / "s.json", {**states[-1], "site": "erp.example"})
    refused = run_command("--config", config, "--state", state)
    assert refused.returncode == 78
    assert "The state is of the site erp.example" in last_line(refused)
    assert refused.stdout == ""


def test_streams_without_a_new_row_write_no_message_of_their_own(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings_for(box, SALES, "PX_Objects_GL_GLTran", "PX_Objects_IN_InventoryItem")
    first = run(config)
    assert first.types().count("STATE") == 3, "the interval is none in tests"
    monkeypatch.undo()
    box.clock.advance(86_400)
    idle = run(config, state=first.state)
    assert idle.types() == ["STATE"]
    days = {entry["undated_rows_read_on"] for entry in idle.state["bookmarks"].values()}
    assert days == {"2026-06-02"}


# The columns


def later(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of columns that came later, since the last look."""
    messages = [m for m in caplog.messages if "columns that were not read before" in m]
    caplog.clear()
    return messages


def earlier(streams: dict[str, dict[str, Any]], **columns: str) -> dict[str, Any]:
    """The catalog from before these columns came to these streams."""
    streams = deepcopy(streams)
    for stream, column in columns.items():
        del streams[stream]["schema"]["properties"][column]
        nodes = streams[stream]["metadata"]
        nodes[:] = [node for node in nodes if node["breadcrumb"][-1:] != [column]]
    return select_all(streams)


def columns_of(output: Output) -> dict[str, set[str]]:
    """The columns of the SCHEMA messages, by stream."""
    return {
        message["stream"]: {*message["schema"]["properties"]}
        for message in output.messages
        if message["type"] == "SCHEMA"
    }


@pytest.mark.parametrize("tenants", [{}, {"tenants": ["Company"]}])
def test_a_schema_comes_where_it_is_new_or_needed(box: Sandbox, tenants: dict[str, Any]) -> None:
    settings = settings_for(box, SALES, LEDGER, USERS, **tenants)
    streams = discover(settings)
    narrow = earlier(streams, PX_Objects_SO_SOOrder="OrderDesc")
    catalog = select_all(streams)
    first = run(settings, catalog=narrow)
    assert [*columns_of(first)] == [LEDGER, SALES, USERS]
    assert first.types().index("RECORD") == 1
    box.clock.advance(3600)
    idle = run(settings, catalog=narrow, state=first.state)
    assert [*columns_of(idle)] == [USERS], "a full table replaces what the target has"
    box.fill(LEDGER, 1, start="2026-06-01T12:30:00Z")
    changed = run(settings, catalog=catalog, state=idle.state)
    assert [*columns_of(changed)] == [LEDGER, SALES, USERS]
    assert "OrderDesc" in columns_of(changed)[SALES]
    for output in (first, changed):
        announced = set()
        for message in output.messages:
            if message["type"] == "SCHEMA":
                announced.add(message["stream"])
            elif message["type"] == "RECORD":
                assert message["stream"] in announced


def test_a_column_that_comes_later_is_said_once(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings_for(box, SALES, USERS, TERMS)
    whole = discover(config)
    before = earlier(whole, PX_Objects_SO_SOOrder="OrderDesc", PX_SM_Users="Comment")
    state = run(config, catalog=before).state
    assert later(caplog) == []
    box.clock.advance(7200)
    second = run(config, catalog=select_all(whole), state=state)
    assert second.records(SALES) == []
    warning, in_full = later(caplog)
    assert warning.startswith(f"{SALES} has columns that were not read before (OrderDesc): ")
    assert "use tap-acumatica reread" in warning
    assert in_full.startswith(f"{USERS} has columns that were not read before (Comment): all rows")
    box.clock.advance(7200)
    third = run(config, catalog=select_all(whole), state=second.state)
    assert later(caplog) == []
    del third.state["bookmarks"][SALES]
    again = run(config, catalog=select_all(whole), state=third.state)
    assert len(again.records(SALES)) == len(box.rows(SALES))
    assert later(caplog) == [], "it is read from the beginning"


def test_a_column_that_is_selected_later_is_one_that_comes_later(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings_for(box, SALES)
    catalog = select_all(discover(config))
    (node,) = [
        node["metadata"]
        for node in catalog["streams"][0]["metadata"]
        if node["breadcrumb"][-1:] == ["OrderDesc"]
    ]
    state: dict[str, Any] = {}
    warnings = []
    for selected in (True, False, True, True):
        node["selected"] = selected
        box.clock.advance(7200)
        state = run(config, catalog=catalog, state=state).state
        warnings.append(len(later(caplog)))
    assert warnings == [0, 0, 1, 0]


def test_a_column_that_a_tenant_gets_later_is_said_for_that_tenant(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Sandbox(now=NOW, tenants=("A", "B"), rows=30) as box:
        config = settings_for(box, SALES, tenants=["A", "B"])
        whole = discover(config)
        box.declare(SALES, "B", without=["OrderDesc"])
        state = run(config, catalog=select_all(discover(config))).state
        assert later(caplog) == []
        box.clock.advance(7200)
        assert run(config, catalog=select_all(whole), state=state).error is None
        assert len(later(caplog)) == 1


def test_a_state_that_does_not_say_its_columns_is_taken_as_it_is(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings_for(box, SALES)
    state = run(config).state
    codes = state["bookmarks"][SALES].pop("columns")
    again = run(config, state=state)
    assert again.records() == []
    assert later(caplog) == []
    assert again.state["bookmarks"][SALES]["columns"] == codes


def test_a_read_that_is_interrupted_remembers_the_columns_of_its_rows(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings_for(box, SALES, page_size=10, max_retry_time=0)
    whole = discover(config)
    box.faults.add(Fault("unavailable", match=f"/{SALES}", after=4))
    first = run(config, catalog=earlier(whole, PX_Objects_SO_SOOrder="OrderDesc"))
    assert 0 < len(first.records()) < len(box.rows(SALES))
    box.faults.clear()
    assert run(config, catalog=select_all(whole), state=first.state).error is None
    assert len(later(caplog)) == 1


# Names that are gone

GONE = "The instance no longer has "


@pytest.mark.parametrize("with_catalog", [True, False])
@pytest.mark.parametrize(
    "name", [SALES, "SOOrder", "SalesOrder", "salesorder", "PX_Objects_SO_SOO*"]
)
@pytest.mark.parametrize("pool", [1, 4])
def test_a_name_that_is_gone_fails_the_run_in_the_end_but_not_the_others(
    box: Sandbox, name: str, pool: int, *, with_catalog: bool
) -> None:
    config = settings_for(box, name, TERMS, USERS, max_pool_size=pool)

    def sync(state: dict[str, Any]) -> Output:
        catalog = select_all(discover(config)) if with_catalog else None
        return run(config, catalog=catalog, state=state)

    first = sync({})
    assert first.error is None
    assert first.records(SALES)
    box.hide(SALES)
    box.clock.advance(7200)
    assert sync({}).error is None, "no state knows it"
    second = sync(first.state)
    assert str(second.error).startswith(f"{GONE}{SALES}, which earlier runs read and the ")
    assert len(second.records(USERS)) == len(box.rows(USERS))
    # What was said is remembered, and nothing else has changed.
    entry = {
        name: each for name, each in second.state["bookmarks"][SALES].items() if name != "gone"
    }
    assert entry == first.state["bookmarks"][SALES]
    state = second.state
    del state["bookmarks"][SALES]
    assert sync(state).error is None


def test_a_stream_that_is_no_longer_asked_for_is_not_missed(box: Sandbox) -> None:
    state = run(settings_for(box, SALES, TERMS, USERS)).state
    catalog = select_all(discover(settings_for(box, TERMS)))
    box.reset_counters()
    assert run(settings_for(box, "Terms"), catalog=catalog, state=state).error is None
    assert box.counters().metadata_requests == 0
    globs = settings_for(box, "PX_*_Terms", "PX_*_SOOrder", "PX_*_Users")
    streams = discover(globs)
    del streams[SALES]
    output = run(globs, catalog=select_all(streams), state=state)
    assert output.error is None, "it is not selected, but not gone"
    box.hide(SALES)
    assert run(settings_for(box, "Terms"), catalog=catalog, state=state).error is None
    assert run(settings_for(box), catalog=catalog, state=state).error is None


def test_a_name_that_is_gone_and_a_stream_that_fails_are_both_named(box: Sandbox) -> None:
    config = settings_for(box, SALES, TERMS, USERS)
    state = run(config).state
    box.hide(SALES)
    box.faults.add(Fault("empty_body", match=USERS))
    error = run(config, state=state).error
    assert isinstance(error, StreamsFailed)
    first, last = error.sentences
    assert first.startswith(f"The stream {USERS} was not read completely.")
    assert last.startswith(f"{GONE}{SALES}, ")


def test_a_name_that_is_gone_is_an_error_in_a_check_and_none_where_discovery_feeds_a_run(
    box: Sandbox, tmp_path: Path
) -> None:
    config = write_json(tmp_path / "c.json", settings_for(box, "Nothing", TERMS))
    discovery = run_command("--config", config, "--discover")
    assert discovery.returncode == 0
    assert [stream["stream"] for stream in json.loads(discovery.stdout)["streams"]] == [TERMS]
    assert "asks for Nothing, but the instance has no such entity" in discovery.stderr
    checked = run_command("check", "--config", config)
    assert checked.returncode == 1
    assert "asks for Nothing, but" in checked.stdout


def test_a_name_that_is_gone_is_an_error_at_a_terminal(box: Sandbox, tmp_path: Path) -> None:
    config = write_json(tmp_path / "c.json", settings_for(box, "Nothing", TERMS))
    master, slave = pty.openpty()
    try:
        discovery = subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, "--config", config, "--discover"],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        os.close(slave)
        os.close(master)
    assert discovery.returncode == 78
    assert "asks for Nothing, but the instance has no such entity" in last_line(discovery)
