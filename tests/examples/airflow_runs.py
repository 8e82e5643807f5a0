"""The example of Airflow at work: `dags test`, Meltano and the tap, against two sandboxes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.running import NOW

from demo.meltano import MELTANO, ROOT, Meltano, environment
from sandbox import Sandbox
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = ROOT / "examples" / "airflow"
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
ORDERS = "PX_Objects_SO_SOOrder"
ITEMS = "PX_Objects_IN_InventoryItem"
GOOD = (("east", "company_a"), ("east", "company_b"), ("west", "company_a"))
NAMES = {"company_a": "Company A", "company_b": "Company B"}
BAD = ("west", "nobody")
TIMEOUT = 1200  # seconds for a run of all shards on a machine that is busy


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, Sandbox]]:
    tenants = tuple(NAMES.values())
    with (
        Sandbox(now=NOW, rows=20, seed=1, tenants=tenants) as east,
        Sandbox(now=NOW, rows=30, seed=2, tenants=tenants) as west,
    ):
        yield {"east": east, "west": west}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def variables(folder: Path, sites: dict[str, Sandbox]) -> dict[str, str]:
    """The environment of a worker."""
    Meltano(folder).install({"target-jsonl": "target-jsonl"})
    tenants = folder / "tenants.json"
    content = json.loads(EXAMPLE.joinpath("tenants.json").read_text("utf-8"))
    for name, box in sites.items():
        content["instances"][name] = {"url": box.url, "tenants": {}}
    for instance, tenant in (*GOOD, BAD):
        login_name = NAMES.get(tenant, "Nobody")
        content["instances"][instance]["tenants"][tenant] = login_name
    tenants.write_text(json.dumps(content))
    accounts = {f"ACUMATICA_{site.upper()}" for site in sites}
    streams = [ORDERS, ITEMS]
    worker = environment(folder)
    del worker["MELTANO_DATABASE_URI"]  # each shard has one of its own
    return worker | {
        **{f"{account}_USERNAME": USERNAME for account in accounts},
        **{f"{account}_PASSWORD": PASSWORD for account in accounts},
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLE),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "MELTANO_PROJECT_ROOT": str(ROOT),
        "MELTANO_STATE_BACKEND_URI": f"file://{folder / 'states'}",
        "PATH": f"{MELTANO.parent}{os.pathsep}{os.environ['PATH']}",
        "SHARD_LOADER": "target-jsonl",
        "SHARD_OUTPUT": str(folder / "output"),
        "SHARD_TENANTS": str(tenants),
        "TAP_ACUMATICA__INCREMENTAL_ENTITIES": json.dumps(streams),
        "TAP_ACUMATICA__INCREMENTAL_PRESETS": "[]",
        "TAP_ACUMATICA__INCREMENTAL__SELECT": json.dumps([f"{name}.*" for name in streams]),
        "TAP_ACUMATICA_MAX_RETRY_TIME": "30",
    }


@pytest.fixture(scope="module")
def airflow(variables: dict[str, str]) -> Airflow:
    airflow = Airflow(variables)
    assert airflow("db", "migrate") == 0, airflow.log
    for instance in ("east", "west"):
        assert airflow("pools", "set", f"acumatica_{instance}", "2", "sessions") == 0, airflow.log
    return airflow


class Airflow:
    """Runs Airflow's commands.

    Attributes:
        log: What the last command printed.
    """

    def __init__(self, variables: dict[str, str]) -> None:
        self.log = ""
        self._variables = variables

    def __call__(self, *arguments: str) -> int:
        finished = subprocess.run(  # noqa: S603 - our own command
            [AIRFLOW, *arguments],
            env=self._variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        self.log = finished.stdout
        return finished.returncode


def rows(folder: Path, instance: str, tenant: str, stream: str) -> list[dict[str, Any]]:
    """What has been loaded, by all runs."""
    file = folder / "output" / f"{instance}__{tenant}" / f"{stream}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def states(folder: Path) -> dict[str, dict[str, Any]]:
    """The states, by the suffix of their IDs."""
    found = {}
    for file in folder.joinpath("states").rglob("state.json"):
        content = json.loads(file.read_text())
        name = file.parent.name
        found[name.rpartition(":")[2]] = content["completed"]["singer_state"]["bookmarks"]
    return found


def test_a_second_run_brings_exactly_what_changed_and_a_bad_tenant_stops_no_other(
    airflow: Airflow, folder: Path, sites: dict[str, Sandbox]
) -> None:
    assert airflow("dags", "test", "acumatica_documents") != 0, "the bad tenant fails"
    assert "acumatica_documents" in airflow.log
    for instance, tenant in GOOD:
        for stream in (ORDERS, ITEMS):
            loaded = rows(folder, instance, tenant, stream)
            expected = sites[instance].rows(stream, tenant=NAMES[tenant])
            assert len(loaded) == len(expected) > 0, airflow.log
            assert {row["_tenant"] for row in loaded} == {NAMES[tenant]}
    assert not rows(folder, *BAD, ORDERS)
    first = states(folder)
    assert first.keys() == {f"{instance}--{tenant}--documents" for instance, tenant in GOOD}
    assert all(state.keys() == {ORDERS, ITEMS} for state in first.values())
    assert "up_for_retry" not in airflow.log, "only what passes is worth a retry"

    before = {shard: len(rows(folder, *shard, ORDERS)) for shard in GOOD}
    changed = sites["east"].rows(ORDERS, tenant="Company B")[0]
    key = {name: changed[name] for name in ("OrderType", "OrderNbr")}
    for box in sites.values():
        box.clock.advance(3600)
    sites["east"].update(ORDERS, key, {"Status": "H"}, tenant="Company B")
    for box in sites.values():
        box.clock.advance(3600)
    assert airflow("dags", "test", "acumatica_documents") != 0
    for shard in GOOD:
        new = rows(folder, *shard, ORDERS)[before[shard] :]
        wanted = [(key["OrderNbr"], "H")] if shard == ("east", "company_b") else []
        assert [(row["OrderNbr"], row["Status"]) for row in new] == wanted, airflow.log
    assert states(folder) != first
    assert [box.counters().sessions_open for box in sites.values()] == [0, 0]


def test_a_signal_reaches_the_tap_through_meltano(
    variables: dict[str, str], sites: dict[str, Sandbox]
) -> None:
    box = sites["west"]
    reading = threading.Event()
    box.app.before.append(lambda _: reading.set())
    command = [sys.executable, str(EXAMPLE / "shard.py"), "west", "company_a", "documents"]
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE) as process:  # noqa: S603 - our own
        assert reading.wait(TIMEOUT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + signal.SIGTERM
    assert box.counters().sessions_open == 0
