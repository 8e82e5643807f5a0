"""The command as users type it, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.running import (
    COMMAND,
    NOW,
    STATES_AT_ONCE,
    discover,
    last_line,
    run_command,
    select_all,
    settings_for,
    write_json,
)

from sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

USERS = "PX_SM_Users"
TERMS = "PX_Objects_CS_Terms"
LEDGER = "PX_Objects_GL_GLTran"


def test_discovery_prints_the_catalog(box: Sandbox, tmp_path: Path) -> None:
    config = write_json(tmp_path / "c.json", settings_for(box, "SOOrder"))
    finished = run_command("--config", config, "--discover")
    assert finished.returncode == 0
    assert [s["stream"] for s in json.loads(finished.stdout)["streams"]] == [
        "PX_Objects_SO_SOOrder"
    ]
    assert box.counters().sessions_open == 0


def test_a_sync_writes_messages_and_signs_out(box: Sandbox, tmp_path: Path) -> None:
    settings = settings_for(box, USERS, TERMS)
    catalog = write_json(tmp_path / "catalog.json", select_all(discover(settings)))
    state = write_json(tmp_path / "state.json", {})
    config = write_json(tmp_path / "c.json", settings)
    finished = run_command("--config", config, "--catalog", catalog, "--state", state)
    assert finished.returncode == 0
    types = [json.loads(line)["type"] for line in finished.stdout.splitlines()]
    assert types[-1] == "STATE"
    assert box.counters().sessions_open == 0


def test_test_reads_one_row_of_each_selected_stream_and_no_other(
    box: Sandbox, tmp_path: Path
) -> None:
    streams = discover(settings_for(box, USERS, TERMS, LEDGER, "GLSetup"))
    catalog = select_all(streams)
    streams[LEDGER]["metadata"][0]["metadata"]["selected"] = False
    config = write_json(tmp_path / "c.json", settings_for(box))
    box.reset_counters()
    finished = run_command(
        "--config", config, "--catalog", write_json(tmp_path / "k.json", catalog), "--test"
    )
    assert finished.returncode == 0, finished.stderr
    messages = [json.loads(line) for line in finished.stdout.splitlines()]
    streams_read = [m["stream"] for m in messages if m["type"] == "RECORD"]
    assert streams_read == [TERMS, "PX_Objects_GL_GLSetup", USERS]
    assert box.counters().data_requests == 3


def test_test_of_the_schema_asks_for_no_row(box: Sandbox, tmp_path: Path) -> None:
    catalog = select_all(discover(settings_for(box, USERS)))
    config = write_json(tmp_path / "c.json", settings_for(box))
    box.reset_counters()
    finished = run_command(
        "--config", config, "--catalog", write_json(tmp_path / "k.json", catalog), "--test=schema"
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["stream"] == USERS
    assert box.counters().total == 0


def test_about_names_the_settings() -> None:
    finished = run_command("--about", "--format", "json")
    assert finished.returncode == 0
    assert "page_size" in json.loads(finished.stdout)["settings"]["properties"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": None}, "The setting url"),
        ({"page_size": "many"}, "The setting page_size"),
        ({"url": "http://erp.invalid"}, "plain http"),
        ({"password": None}, "The setting password is missing"),
        ({"tenants": ["Nowhere"]}, "Nowhere"),
    ],
)
def test_a_wrong_setting_ends_in_one_sentence(
    box: Sandbox, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    settings = {**settings_for(box, USERS), **change}
    settings = {name: value for name, value in settings.items() if value is not None}
    finished = run_command("--config", write_json(tmp_path / "c.json", settings))
    assert finished.returncode == 78
    assert finished.stdout == ""
    assert words in last_line(finished)
    assert "Traceback" not in finished.stderr
    assert box.password not in finished.stderr


def test_a_wrong_password_is_sent_once(box: Sandbox, tmp_path: Path) -> None:
    settings = settings_for(box, USERS, TERMS, LEDGER, max_pool_size=4)
    catalog = write_json(tmp_path / "k.json", select_all(discover(settings)))
    box.reset_counters()
    config = write_json(tmp_path / "c.json", {**settings, "password": "wrong"})
    finished = run_command("--config", config, "--catalog", catalog)
    assert finished.returncode == 77
    assert "401" in last_line(finished)
    assert box.counters().unauthorized == 1


@pytest.mark.parametrize("option", ["--config", "--catalog", "--state"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ('{"url": ', "contains no JSON"),
        ("[]", "contains no JSON object"),
        ("\udcff", "contains no JSON"),
    ],
)
def test_a_wrong_file_is_said_in_a_sentence(
    tmp_path: Path, option: str, content: str | None, words: str
) -> None:
    wrong = tmp_path / "wrong.json"
    if content is not None:
        wrong.write_text(content, encoding="utf-8", errors="surrogateescape")
    finished = run_command(*("--config", "ENV", option, str(wrong)))
    assert finished.returncode == 78
    assert "Usage" not in finished.stderr
    assert "wrong.json" in last_line(finished)
    assert words in last_line(finished)
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""


@pytest.mark.parametrize("content", ["", "\n", "\ufeff\n"])
def test_an_empty_state_is_no_state_yet(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content, encoding="utf-8")
    finished = run_command("--config", "ENV", "--state", str(tmp_path / "state.json"))
    assert finished.returncode == 78
    assert "state.json is empty: leave --state out" in last_line(finished)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_files_with_a_byte_order_mark_are_read(box: Sandbox, tmp_path: Path, encoding: str) -> None:
    settings = settings_for(box, USERS, region="ü")
    del settings["region"]
    files = {"config": settings, "catalog": select_all(discover(settings)), "state": {}}
    arguments = []
    for name, content in files.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
        arguments += [f"--{name}", str(path)]
    finished = run_command(*arguments)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count('"RECORD"') == len(box.rows(USERS))


def test_settings_that_stand_in_the_environment_name_the_option(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_for(box).items():
        monkeypatch.setenv(f"TAP_ACUMATICA_{name.upper()}", str(value))
    without = run_command()
    assert without.returncode == 78
    assert "TAP_ACUMATICA_URL is read from the environment only with --config=ENV" in last_line(
        without
    )
    config = write_json(tmp_path / "c.json", {"url": box.url, "username": box.username})
    assert "TAP_ACUMATICA_PASSWORD" in last_line(run_command("--config", config))
    monkeypatch.setenv("TAP_ACUMATICA_ENTITIES", '["Terms"]')
    assert run_command("--config=ENV").returncode == 0


@pytest.mark.parametrize("test", [[], ["--test"]])
def test_a_map_that_fails_on_a_row_is_named_and_nothing_stands_before_it(
    box: Sandbox, tmp_path: Path, test: list[str]
) -> None:
    settings = settings_for(box, USERS, stream_maps={USERS: {"x": "int(Username)"}})
    finished = run_command("--config", write_json(tmp_path / "c.json", settings), *test)
    assert finished.returncode == 78
    assert "The setting stream_maps cannot be used ('int(Username)' failed" in last_line(finished)
    assert "This should not happen" not in finished.stderr
    assert "unhandled error" not in finished.stderr
    assert finished.stderr.count("ERROR") == 1


def test_sigterm_cuts_no_line_and_the_next_run_brings_the_rest(
    box: Sandbox, tmp_path: Path
) -> None:
    settings = settings_for(box, LEDGER, page_size=50)
    catalog = write_json(tmp_path / "k.json", select_all(discover(settings)))
    config = write_json(tmp_path / "c.json", settings)
    hanging = box.faults.add(Fault("hang", match=LEDGER, after=6))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--config", config, "--catalog", catalog],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout
        lines = [process.stdout.readline()]
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.read().splitlines()
    assert process.returncode == 143
    assert box.counters().sessions_open == hanging.done, "the one that is executing a request"
    messages = [json.loads(line) for line in lines if line.strip()]
    assert messages[-1]["type"] == "STATE"
    box.faults.clear()
    state = write_json(tmp_path / "s.json", messages[-1]["value"])
    second = run_command("--config", config, "--catalog", catalog, "--state", state)
    assert second.returncode == 0
    messages += [json.loads(line) for line in second.stdout.splitlines()]
    key = ("BatchNbr", "LineNbr", "Module")
    delivered = {tuple(m["record"][k] for k in key) for m in messages if m["type"] == "RECORD"}
    assert delivered == {tuple(row[k] for k in key) for row in box.rows(LEDGER)}


def test_after_sigkill_the_last_state_brings_the_rest(box: Sandbox, tmp_path: Path) -> None:
    box.fill(LEDGER, 25_000, start="2025-01-01T00:00:00Z", step_seconds=7)
    settings = settings_for(box, LEDGER)
    streams = discover(settings)
    for column in streams[LEDGER]["metadata"][1:]:
        column["metadata"]["selected"] = False
    catalog = write_json(tmp_path / "k.json", select_all(streams))
    config = write_json(tmp_path / "c.json", settings)
    messages = []
    with subprocess.Popen(  # noqa: S603 - our own command
        [*STATES_AT_ONCE, "--config", config, "--catalog", catalog],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            messages.append(json.loads(line))
            if len(messages) == 15_000:
                process.kill()
                break
    states = [index for index, m in enumerate(messages) if m["type"] == "STATE"]
    assert states
    messages = messages[: states[-1] + 1]
    state = write_json(tmp_path / "s.json", messages[-1]["value"])
    second = run_command("--config", config, "--catalog", catalog, "--state", state)
    assert second.returncode == 0
    assert second.stdout.count('"RECORD"') < 20_000
    messages += [json.loads(line) for line in second.stdout.splitlines()]
    key = ("BatchNbr", "LineNbr", "Module")
    delivered = {tuple(m["record"][k] for k in key) for m in messages if m["type"] == "RECORD"}
    assert delivered == {tuple(row[k] for k in key) for row in box.rows(LEDGER)}


def test_a_signal_during_the_imports_leaves_no_trace() -> None:
    with subprocess.Popen(  # noqa: S603 - our own command
        [*(sys.executable, "-X", "importtime"), *("-m", "tap_acumatica", "--config", "/dev/stdin")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        next(line for line in process.stderr if "singer_sdk" in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in rest


def test_a_certificate_that_is_not_checked_is_mentioned_once(tmp_path: Path) -> None:
    with Sandbox(now=NOW, tls=True) as box:
        settings = settings_for(box, USERS, TERMS, verify_ssl=False)
        finished = run_command("--config", write_json(tmp_path / "c.json", settings))
        assert finished.returncode == 0, finished.stderr
        assert box.counters().data_requests > 1
    assert finished.stderr.count("InsecureRequestWarning") == 1


@pytest.mark.parametrize(
    ("verbosity", "words"),
    [
        (1, "Run complete: 1 stream, "),
        (2, "OData-Version"),
        (3, '"value"'),
        (4, "Starting new HTTP connection"),
        (5, "Starting new HTTP connection"),
    ],
)
def test_verbosity_tells_more_and_never_a_secret(
    box: Sandbox, tmp_path: Path, verbosity: int, words: str
) -> None:
    settings = settings_for(
        box,
        USERS,
        verbosity=verbosity,
        secret_headers={"X-Key": "h1dden-header"},
        secret_params={"key": "h1dden-par&m"},
    )
    finished = run_command("--config", write_json(tmp_path / "c.json", settings))
    assert finished.returncode == 0
    assert words in finished.stderr
    for secret in (box.password, box.authorization, "h1dden-header", "h1dden-par", "SessionId="):
        assert secret not in finished.stderr
    assert max(map(len, finished.stderr.splitlines())) < 60_000


def test_a_short_secret_does_not_shred_the_log(box: Sandbox, tmp_path: Path) -> None:
    short = {"secret_headers": {"X-Env": "1"}, "secret_params": {"key": "0"}}
    settings = settings_for(box, USERS, verbosity=2, **short)
    finished = run_command("--config", write_json(tmp_path / "c.json", settings))
    assert finished.returncode == 0
    assert box.url in finished.stderr
    assert "'X-Env': '***'" in finished.stderr
    assert "key=0" not in finished.stderr


def test_settings_before_the_name_of_a_command_are_not_dropped(tmp_path: Path) -> None:
    finished = run_command("--config", write_json(tmp_path / "c.json", {}), "check")
    assert finished.returncode == 78
    assert "The option --config comes before check: put it after" in last_line(finished)


DEEP = '{"a":' * 5_000 + "1" + "}" * 5_000
ODD_INPUTS: dict[str, tuple[dict[str, Any], dict[str, str | None], str]] = {
    "a NUL in a path": ({"run_report": "a\0b"}, {}, "cannot be written (embedded null byte)"),
    "a user in a path": ({"run_report": "~nobody9/x"}, {}, "The run report ~nobody9/x cannot"),
    "no home": ({}, {"HOME": None}, ""),
    "very deep JSON": ({}, {"TAP_ACUMATICA_EXTRA_HEADERS": DEEP}, "must be a JSON object in TAP_"),
    "half an address": ({"url": "http://[::1"}, {}, "The setting url"),
}


@pytest.mark.parametrize(("changes", "variables", "words"), ODD_INPUTS.values(), ids=ODD_INPUTS)
def test_odd_inputs_end_in_a_sentence(  # noqa: PLR0913 - fixtures
    box: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    changes: dict[str, Any],
    variables: dict[str, str | None],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    config = write_json(tmp_path / "c.json", settings_for(box, USERS, **changes))
    environment = ["--config", "ENV"] if any(variables.values()) else []
    finished = run_command("--config", config, *environment)
    assert finished.returncode == (78 if words else 0)
    assert words in last_line(finished)
    assert "This should not happen" not in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_report_that_discovery_cannot_write_is_a_warning(tmp_path: Path) -> None:
    config = write_json(tmp_path / "c.json", {"run_report": "a\0b", "auth_method": "oauth"})
    finished = run_command("--config", config, "--discover")
    assert finished.returncode == 78
    assert "could not be written in the end: embedded null byte" in finished.stderr
    assert "This should not happen" not in finished.stderr


@pytest.mark.parametrize(
    "error", ["MemoryError()", "ImportError('x.so: failed to map segment from shared object')"]
)
def test_a_process_without_memory_says_so(error: str) -> None:
    """Not with a limit of its memory: with too little of it, Python itself may abort."""
    full = f"""
import sys
class Full:
    def find_spec(self, name, *_):
        if name == "tap_acumatica.tap":
            raise {error}
sys.meta_path.insert(0, Full())
from tap_acumatica.__main__ import main
main()
"""
    finished = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", full], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 78
    assert finished.stderr == "The tap ran out of memory before it had begun: allow it more.\n"
