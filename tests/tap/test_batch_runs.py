"""Batches in place of records: the same rows and states, whatever the run comes across."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
from collections import Counter
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from singer_sdk import Target
from singer_sdk.sinks import BatchSink
from support.batches import batch_config, lines_of, unpacked
from support.running import NOW, Output, discover, run, select_all, settings_for
from support.states import KEYS, LINES, MODIFIED, ORDERS, require_true_states

from sandbox import Sandbox
from tap_acumatica.odata.errors import OutputFailed, SettingsError
from tap_acumatica.output.batches import Batch, BatchFolder
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.endings import ExitCode, exit_code
from tap_acumatica.stream import EntityStream
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMS = "PX_Objects_CS_Terms"
USERS = "PX_SM_Users"
STREAMS = (ORDERS, LINES, TERMS, USERS)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=60, tenants=("A", "B")) as box:
        yield box


@pytest.fixture
def settings(box: Sandbox, tmp_path: Path) -> dict[str, Any]:
    config = batch_config(tmp_path / "batches", 7)
    return settings_for(
        box, *STREAMS, tenants=["A", "B"], page_size=10, max_retry_time=0, batch_config=config
    )


def content(output: Output) -> list[dict[str, Any]]:
    """The messages with records in place of batches, but not when they were extracted."""
    messages = [*unpacked(output.messages)]
    for message in messages:
        message.pop("time_extracted", None)
    return messages


def in_lines(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "batch_config"}


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (1, {}),
        (7, {}),
        (600, {}),
        (7, {"rebuild_records": True}),
        (7, {"tracking_type": "none"}),
        (7, {"decimals": "text", "trim_strings": True}),
        (7, {"include_deleted": True, "full_read_interval": 0}),
        (7, {"expand": {"SOOrder": ["CustomerByCustomerID(AcctCD,CreditLimit)"]}}),
    ],
    ids=str,
)
def test_a_batch_stands_where_its_records_would(
    settings: dict[str, Any],
    size: int,
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So all states are those of the records before them, and no batch is too large."""
    monkeypatch.setattr(EntityStream, "STATE_MSG_FREQUENCY", size)
    monkeypatch.setattr(TapAcumatica, "initialized_at", 1_780_000_000_000)
    settings |= changes
    settings["batch_config"]["batch_size"] = size
    state: dict[str, Any] = {}
    for _ in range(2):
        batches, lines = run(settings, state=deepcopy(state)), run(in_lines(settings), state=state)
        assert batches.error is lines.error is None
        kinds = Counter(batches.types())
        assert kinds["BATCH"] > 0
        assert kinds["RECORD"] == 0
        assert content(batches) == content(lines)
        state = batches.state


def sizes(output: Output, stream: str) -> list[int]:
    """The number of records in each batch of a stream."""
    batches = [each for each in output.messages if each["type"] == "BATCH"]
    return [len(lines_of(*each["manifest"])) for each in batches if each["stream"] == stream]


@pytest.mark.parametrize("size", [1, 3, 25, 1000])
def test_a_batch_has_the_size_of_the_setting_whether_or_not_a_state_follows(
    box: Sandbox, settings: dict[str, Any], size: int
) -> None:
    settings["batch_config"]["batch_size"] = size
    output = run(settings)
    for stream in (LINES, USERS):
        rows = sum(len(box.rows(stream, tenant)) for tenant in box.tenants)
        full, rest = divmod(rows, size)
        assert sizes(output, stream) == [*[size] * full, *([rest] if rest else [])]


def test_an_old_batch_ends_with_the_records_that_it_has_and_a_state_follows(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchFolder, "is_old", lambda *_: True)
    settings["batch_config"]["batch_size"] = 1000
    output = run(settings)
    assert max(sizes(output, LINES)) <= settings["page_size"]
    assert Counter(output.types())["STATE"] > len(STREAMS)


def test_batches_hold_the_selected_columns_only(settings: dict[str, Any]) -> None:
    streams = discover(settings | {"entities": [ORDERS]})
    for entry in streams[ORDERS]["metadata"][1:]:
        entry["metadata"]["selected"] = entry["breadcrumb"][-1] in {"OrderDesc", "OrderTotal"}
    output = run(settings, catalog=select_all(streams))
    columns = {name for each in content(output) for name in each.get("record", ())}
    assert columns == {"_tenant", *KEYS[ORDERS], MODIFIED, "OrderDesc", "OrderTotal"}


def test_streams_that_are_mapped_stay_records_which_is_said_once(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    maps = {TERMS: {"__alias__": "terms"}, USERS: {"Twice": "Username + Username"}}
    output = run(settings | {"stream_maps": maps})
    assert output.error is None
    kinds: dict[str, set[str]] = {}
    for message in output.messages:
        if message["type"] in {"BATCH", "RECORD"}:
            kinds.setdefault(message["stream"], set()).add(message["type"])
    assert kinds == {ORDERS: {"BATCH"}, LINES: {"BATCH"}, "terms": {"RECORD"}, USERS: {"RECORD"}}
    assert caplog.text.count("not written in batches") == 1
    flattened = run(settings | {"flattening_enabled": True, "flattening_max_depth": 1})
    assert "BATCH" not in flattened.types()


@pytest.mark.parametrize("moment", [13, 17, 22, 27])
def test_a_run_that_is_stopped_ends_its_batch_and_then_writes_its_state(
    box: Sandbox, settings: dict[str, Any], moment: int
) -> None:
    requests = Counter[str]()
    settings["batch_config"]["batch_size"] = 10_000

    def stop(_: object) -> None:
        requests["all"] += 1
        if requests["all"] == moment:
            os.kill(os.getpid(), signal.SIGTERM)

    box.before_request(stop)
    output = run(settings | {"sync_log": True})
    box.app.before.clear()
    assert isinstance(output.error, Stopped)
    streams = [message.get("stream") for message in output.messages]
    before_log = output.messages[: streams.index("sync_log")]
    assert before_log[-1]["type"] == "STATE"
    assert Counter(output.types())["BATCH"] > 0
    require_true_states(box, unpacked(output.messages))
    rows = Counter(each["stream"] for each in content(output) if each["type"] == "RECORD")
    log = Counter[str]()
    for record in output.records("sync_log"):
        log[record["stream"]] += record["rows"]
    assert {name: count for name, count in log.items() if count} == {
        name: count for name, count in rows.items() if name != "sync_log"
    }
    first = content(output)
    rest = run(settings, state=output.state)
    assert rest.error is None
    both = [each["record"] for each in first + content(rest) if "record" in each]
    assert {json.dumps(record, default=str) for record in both} >= {
        json.dumps(each["record"], default=str)
        for each in content(run(in_lines(settings)))
        if each["type"] == "RECORD" and each["stream"] in KEYS
    }


def test_a_full_disk_ends_the_run_with_a_sentence_and_no_state_is_ahead(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    box.fill(ORDERS, 500, tenant="A")
    settings |= {"rebuild_records": False, "page_size": 100}
    settings["batch_config"]["batch_size"] = 150
    lines = run(settings | {"entities": [ORDERS]})
    sizes = sorted(path.stat().st_size for path in tmp_path.glob("batches/*/*.gz"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[-1] - 1, hard))
    try:
        output = run(settings | {"entities": [ORDERS], "sync_log": True})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(output.error, OutputFailed)
    assert "cannot be written (File too large): make room there" in str(output.error)
    assert exit_code(output.error) == ExitCode.PASSING
    assert len(output.messages) < len(lines.messages)
    require_true_states(box, unpacked(output.messages))
    assert [*unpacked(run(settings, state=output.state).messages)]


def test_a_folder_that_vanishes_ends_the_run(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, streams = BatchFolder.begin, list[str]()

    def delete_and_begin(folder: BatchFolder, stream: str) -> Batch:
        streams.append(stream)
        if len(streams) == 4:
            shutil.rmtree(next(tmp_path.glob("batches/tap-*")))
        return begin(folder, stream)

    monkeypatch.setattr(BatchFolder, "begin", delete_and_begin)
    output = run(settings)
    assert isinstance(output.error, OutputFailed)
    assert "The batch file" in str(output.error)
    assert Counter(output.types())["BATCH"] == 3


@pytest.mark.parametrize("full", [False, True])
def test_no_version_is_activated_and_that_is_said(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture, *, full: bool
) -> None:
    settings |= {"emit_activate_version_messages": True, "full_read_interval": 0}
    settings |= {"tracking_type": "none"} if full else {}
    state: dict[str, Any] = {}
    for _ in range(2):
        output = run(settings, state=state)
        state = output.state
        assert output.error is None
        assert "ACTIVATE_VERSION" not in output.types()
        assert not [message for message in content(output) if message.get("version")]
    assert caplog.text.count("Nothing is retired in the target") == 2


def test_the_files_of_the_run_before_are_deleted(settings: dict[str, Any], tmp_path: Path) -> None:
    run(settings)
    (first,) = tmp_path.glob("batches/tap-acumatica-*")
    files = [*first.glob("*.gz")]
    output = run(settings)
    assert files
    assert not first.exists()
    manifests = [path for message in output.messages for path in message.get("manifest", ())]
    assert all(Path(path.removeprefix("file://")).exists() for path in manifests)


def test_a_discovery_and_a_test_leave_the_folder_alone(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    discover(settings)
    tap = TapAcumatica(config=dict(settings))
    assert tap.run_sync_dry_run(1)
    tap.run.close()
    assert not tmp_path.joinpath("batches").exists()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"storage": {}},
        {"storage": {"root": "s3://bucket/batches"}},
        {"storage": {"root": "file://"}},
        {"storage": {"root": "/x", "other": 1}},
        {"storage": {"root": "/x\0"}},
        {"storage": {"root": "/x", "prefix": "a/b"}},
        {"storage": {"root": "/x"}, "encoding": {"format": "parquet"}},
        {"storage": {"root": "/x"}, "encoding": {"compression": "none"}},
        {"storage": {"root": "/x"}, "batch_size": 0},
        {"storage": {"root": "/x"}, "batch_sise": 5},
    ],
    ids=str,
)
def test_what_is_not_written_is_refused_in_a_sentence(
    settings: dict[str, Any], config: dict[str, Any]
) -> None:
    output = run({**settings, "batch_config": config})
    assert isinstance(output.error, SettingsError)
    assert str(output.error).startswith("The setting batch_config")
    assert not output.messages


class Rows(BatchSink):
    """A sink of the SDK that keeps the rows it would load."""

    loaded: list[tuple[str, dict[str, Any]]]

    def process_batch(self, context: dict[str, Any]) -> None:
        Rows.loaded += [(self.stream_name, dict(row)) for row in context["records"]]


class PlainTarget(Target):
    """A target as the SDK makes one."""

    name = "plain-target"
    config_jsonschema: ClassVar[dict[str, Any]] = {
        "properties": {"add_record_metadata": {"type": "boolean"}}
    }
    default_sink_class = Rows


def loaded(messages: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> Any:
    """What a plain target of the SDK loads, and the last state that it writes."""
    Rows.loaded = []
    capsys.readouterr()
    lines = "".join(json.dumps(message, default=str) + "\n" for message in messages)
    PlainTarget(config={"add_record_metadata": False}).listen(StringIO(lines))
    rows = [(stream, json.dumps(row, default=str, sort_keys=True)) for stream, row in Rows.loaded]
    return sorted(rows), json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_target_of_the_sdk_loads_the_same_rows(
    settings: dict[str, Any], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    batches = run(settings)
    lines = [*unpacked(batches.messages)]
    in_batches = loaded(batches.messages, capsys)
    assert len(in_batches[0]) == sum(message["type"] == "RECORD" for message in lines)
    assert {stream for stream, _ in in_batches[0]} == {*STREAMS}
    assert in_batches[1] == batches.state
    expected = [(m["stream"], m["record"]) for m in lines if m["type"] == "RECORD"]
    assert in_batches[0] == sorted(
        (stream, json.dumps(row, default=str, sort_keys=True)) for stream, row in expected
    )
