"""The shard script, with the tap and a stand-in for Meltano that writes where Meltano writes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.running import NOW

from sandbox import Fault, Sandbox
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterator


ROOT = Path(__file__).parents[2]
SHARD = ROOT / "examples" / "airflow" / "shard.py"
ORDERS = "PX_Objects_SO_SOOrder"
STREAMS = (
    *(ORDERS, "PX_Objects_SO_SOLine", "PX_Objects_IN_InventoryItem", "PX_Objects_CS_Terms"),
    *("PX_Objects_AR_Customer", "PX_Objects_AP_Vendor", "PX_Objects_GL_Account"),
)
TENANTS = ("Company A", "Company B", "Company C")
STOPPED = 143
TIMEOUT = 120  # seconds
MELTANO = f"""#!{sys.executable}
import json, os, pathlib, subprocess, sys
_, run, option, state, extractor, loader = sys.argv
assert (run, option) == ("run", "--state-id-suffix"), sys.argv
folder = pathlib.Path(os.environ["MELTANO_SYS_DIR_ROOT"])
pathlib.Path(os.environ["MELTANO_PROJECT_ROOT"], "group").write_text(str(os.getpgid(0)))
assert folder.joinpath("extractors").is_dir()
catalog = folder / "run" / extractor / "tap.properties.json"
catalog.parent.mkdir(parents=True)  # another run that writes there is an error
tap = [sys.executable, "-m", "tap_acumatica", "--config=ENV"]
with catalog.open("w") as file:
    subprocess.run([*tap, "--discover"], stdout=file, check=True)
output = pathlib.Path(os.environ["TARGET_JSONL_DESTINATION_PATH"], f"{{state}}.jsonl")
with output.open("w") as file:
    finished = subprocess.run([*tap, "--catalog", str(catalog)], stdout=file)
with open(output) as file:
    assert all(json.loads(line) for line in file)
sys.exit(1 if finished.returncode else 0)
"""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=30, tenants=TENANTS) as box:
        yield box


class Shards:
    """Starts shards in a folder of its own.

    Attributes:
        output: The folder with what was loaded.
        temporary: Where the private folders are made.
    """

    def __init__(self, folder: Path, box: Sandbox, **variables: str) -> None:
        self.output = folder / "output"
        self.temporary = folder / "tmp"
        project = folder / "project"
        meltano = folder / "bin" / "meltano"
        for each in (self.temporary, project / ".meltano" / "extractors", meltano.parent):
            each.mkdir(parents=True)
        meltano.write_text(MELTANO)
        meltano.chmod(meltano.stat().st_mode | stat.S_IXUSR)
        tenants = {name.lower().replace(" ", "_"): name for name in TENANTS}
        content = {
            "groups": {"documents": {"extractor": "tap-acumatica--incremental"}},
            "instances": {"east": {"url": box.url, "tenants": tenants}},
        }
        file = folder / "tenants.json"
        file.write_text(json.dumps(content))
        self._variables = {
            **os.environ,
            "ACUMATICA_EAST_USERNAME": USERNAME,
            "ACUMATICA_EAST_PASSWORD": PASSWORD,
            "MELTANO_PROJECT_ROOT": str(project),
            "MELTANO_STATE_BACKEND_URI": "file:///nowhere",
            "PATH": f"{meltano.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SHARD_LOADER": "target-jsonl",
            "SHARD_OUTPUT": str(self.output),
            "SHARD_TENANTS": str(file),
            "TAP_ACUMATICA_ENTITIES": json.dumps([ORDERS]),
            "TAP_ACUMATICA_MAX_RETRY_TIME": "0",
            "TMPDIR": str(self.temporary),
            **variables,
        }

    def start(self, tenant: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(SHARD), "east", tenant, "documents"]
        return subprocess.Popen(command, env=self._variables, stderr=subprocess.PIPE)  # noqa: S603 - our own

    def run(self, tenant: str = "company_a") -> tuple[int, str]:
        process = self.start(tenant)
        _, errors = process.communicate(timeout=TIMEOUT)
        return process.returncode, errors.decode()

    def records(self, tenant: str) -> list[dict[str, Any]]:
        file = self.output / f"east__{tenant}" / f"east--{tenant}--documents.jsonl"
        messages = [json.loads(line) for line in file.read_text().splitlines()]
        return [each["record"] for each in messages if each["type"] == "RECORD"]


def test_three_shards_at_once_keep_apart_and_leave_nothing(box: Sandbox, tmp_path: Path) -> None:
    shards = Shards(tmp_path, box)
    names = [name.lower().replace(" ", "_") for name in TENANTS]
    processes = [shards.start(name) for name in names]
    errors = [process.communicate(timeout=TIMEOUT)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    for tenant, name in zip(TENANTS, names, strict=True):
        records = shards.records(name)
        assert {record["_tenant"] for record in records} == {tenant}
        assert len(records) == len(box.rows(ORDERS))
    assert not list(shards.temporary.iterdir())
    assert box.counters().sessions_open == 0


def test_a_signal_ends_the_tap_too_and_leaves_no_session(box: Sandbox, tmp_path: Path) -> None:
    shards = Shards(tmp_path, box, TAP_ACUMATICA_ENTITIES=json.dumps(STREAMS))
    reading, signalled = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        reading.set()
        signalled.wait(TIMEOUT)

    box.before_request(hold)
    process = shards.start("company_a")
    assert reading.wait(TIMEOUT)
    process.send_signal(signal.SIGTERM)
    signalled.set()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == STOPPED
    with pytest.raises(ProcessLookupError):
        os.killpg(int(tmp_path.joinpath("project", "group").read_text()), 0)
    assert box.counters().data_requests < len(STREAMS), "the tap read on"
    assert box.counters().sessions_open == 0
    assert not list(shards.temporary.iterdir())


@pytest.mark.parametrize(
    ("fault", "variables", "code"),
    [
        (Fault("error", status=503, times=99), {}, 75),
        (None, {"ACUMATICA_EAST_PASSWORD": "wrong-password"}, 77),
        (None, {"TAP_ACUMATICA_ENTITIES": '["NoSuchEntity"]'}, 78),
        (None, {"PATH": ""}, 78),
    ],
    ids=["what passes", "sign-in", "settings", "no Meltano"],
)
def test_the_exit_code_is_that_of_the_tap(
    box: Sandbox, tmp_path: Path, fault: Fault | None, variables: dict[str, str], code: int
) -> None:
    if fault:
        box.faults.add(fault)
    assert Shards(tmp_path, box, **variables).run()[0] == code


@pytest.mark.parametrize(
    ("tenant", "variables", "sentence"),
    [
        ("company_x", {}, "company_x"),
        ("company_a", {"MELTANO_STATE_BACKEND_URI": ""}, "MELTANO_STATE_BACKEND_URI"),
        ("company_a", {"SHARD_TENANTS": "/nowhere"}, "/nowhere"),
    ],
)
def test_what_is_missing_is_said(
    box: Sandbox, tmp_path: Path, tenant: str, variables: dict[str, str], sentence: str
) -> None:
    code, errors = Shards(tmp_path, box, **variables).run(tenant)
    assert code == 78
    assert sentence in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", ["Company A", "company--a", "a__b", "a:b", ""])
def test_names_that_could_be_mistaken_for_others_are_refused(
    box: Sandbox, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "others.json"
    content = {
        "groups": {"documents": {"extractor": "tap-acumatica--incremental"}},
        "instances": {"east": {"url": box.url, "tenants": {name: "Company A"}}},
    }
    file.write_text(json.dumps(content))
    code, errors = Shards(tmp_path, box, SHARD_TENANTS=str(file)).run(name)
    assert code == 78
    assert "is no name" in errors


def test_the_example_names_extractors_of_the_project() -> None:
    project = yaml.safe_load(ROOT.joinpath("meltano.yml").read_text("utf-8"))
    extractors = {each["name"] for each in project["plugins"]["extractors"]}
    content = json.loads(SHARD.with_name("tenants.json").read_text("utf-8"))
    assert {group["extractor"] for group in content["groups"].values()} <= extractors


def test_the_job_of_kubernetes_runs_a_shard_of_the_example_and_retries_what_passes() -> None:
    file = ROOT / "examples" / "kubernetes" / "cronjob.yaml"
    job = yaml.safe_load(file.read_text("utf-8"))["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    instance, tenant, group = container["args"]
    content = json.loads(SHARD.with_name("tenants.json").read_text("utf-8"))
    assert tenant in content["instances"][instance]["tenants"]
    assert job["schedule"] == content["groups"][group]["schedule"]
    assert job["concurrencyPolicy"] == "Forbid"
    (_, rule) = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert (rule["onExitCodes"]["operator"], rule["onExitCodes"]["values"]) == ("NotIn", [0, 75])
    assert pod["restartPolicy"] == "Never"
