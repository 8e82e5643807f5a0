"""However a run ends: report, last log line, exit code and sync log agree, and with the truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from support.running import (
    COMMAND,
    NOW,
    discover,
    run,
    run_command,
    select_all,
    settings_for,
    write_json,
)

from demo.meltano import replication_methods
from sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TERMS = "PX_Objects_CS_Terms"
BATCHES = "PX_Objects_GL_Batch"
ITEMS = "PX_Objects_IN_InventoryItem"
USERS = "PX_SM_Users"
STREAMS = (TERMS, BATCHES, ITEMS, USERS)
"""In the order in which they are read; the last one has no date."""

SCHEMA = json.loads(Path(__file__).parents[2].joinpath("docs", "run-report.json").read_text())
JSON_LOG = """\
version: 1
disable_existing_loggers: false
formatters: {json: {(): singer_sdk.logging.StructuredFormatter}}
handlers: {stderr: {class: logging.StreamHandler, formatter: json}}
root: {level: INFO, handlers: [stderr]}
"""


@dataclass
class Scene:
    """What a run of the command finds.

    Attributes:
        settings: The settings, which an ending may change.
        files: More files of the command line, by option.
        before: Called in the request's thread, with its number, before each request for data.
        code: What is done in the process before the command.
    """

    box: Sandbox
    folder: Path
    settings: dict[str, Any]
    files: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    before: Callable[[int], object] | None = None
    code: str = ""

    def fault(self, kind: str, *streams: str, **options: Any) -> None:
        """Add a fault of the requests for rows of some streams."""
        match = f"/({'|'.join(streams)})([?/]|$)" if streams else ""
        self.box.faults.add(Fault(kind, match=match, **options))

    def catalog(self, **changes: Any) -> None:
        """Use a catalog, so that only rows are requested."""
        self.files["--catalog"] = select_all(discover({**self.settings, **changes}))

    def read_before(self) -> None:
        """Use the state of an earlier run."""
        self.files["--state"] = run(self.settings).state

    def signal(self, number: int, at: int = 5) -> None:
        """Send a signal before the answer to a request for data."""

        def send(request: int) -> None:
            if request == at:
                assert self.process
                self.process.send_signal(number)

        self.settings["page_size"] = 10
        self.before = send

    def run(self) -> Ended:
        """Run the command to its end."""
        files = []
        for option, content in self.files.items():
            path = self.folder / f"{option.strip('-')}.json"
            path.write_text(content if isinstance(content, str) else json.dumps(content))
            files += [option, str(path)]
        config = write_json(self.folder / "config.json", self.settings)
        log = self.folder / "log.yml"
        log.write_text(JSON_LOG)
        requests, lock = Counter[str](), threading.Lock()

        def count(_: object) -> None:
            with lock:
                requests["all"] += 1
                number = requests["all"]
            if self.before:
                self.before(number)

        self.box.reset_counters()
        self.box.before_request(count)
        command = [*COMMAND[:-1], self.code + COMMAND[-1]]
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, "--config", config, *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "SINGER_SDK_LOG_CONFIG": str(log)},
        )
        if self.settings.get("closed"):
            assert self.process.stdout
            self.process.stdout.close()
        out, err = self.process.communicate(timeout=120)
        return Ended(self, self.process.returncode, out or "", err)


@dataclass
class Ended:
    """A run that has ended."""

    scene: Scene
    code: int
    out: str
    err: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages on stdout; the last one may have been cut off by a kill."""
        lines = self.out.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @property
    def report(self) -> dict[str, Any]:
        """The report in the file."""
        (path,) = self.scene.folder.glob("report-*")
        report: dict[str, Any] = json.loads(path.read_text())
        assert report["run"] in path.name
        return report

    @property
    def last_line(self) -> dict[str, Any]:
        """The fields of the last line of the log."""
        line: dict[str, Any] = json.loads(self.err.splitlines()[-1])
        return line


Prepare = "Callable[[Scene], object]"
ENDINGS: dict[str, tuple[Any, int | None, str, dict[str, str]]] = {}
"""How each run comes to its end; exit code, outcome, and what became of streams if not all were
read completely."""


def ending(code: int | None, outcome: str, **statuses: str) -> Callable[[Any], Any]:
    def add(prepare: Any) -> Any:
        ENDINGS[prepare.__name__.strip("_").replace("_", " ")] = (prepare, code, outcome, statuses)
        return prepare

    return add


SKIPPED_TERMS = {TERMS: "skipped"}
NONE_BEGUN = dict.fromkeys(STREAMS, "not begun")


@ending(0, "complete")
def _first_run(_: Scene) -> None: ...


@ending(0, "complete")
def _nothing_new(scene: Scene) -> None:
    scene.read_before()


@ending(0, "complete")
def _four_connections(scene: Scene) -> None:
    scene.settings |= {"max_pool_size": 4, "page_size": 10}


@ending(0, "complete")
def _a_server_that_cuts_its_answers_and_does_not_count(scene: Scene) -> None:
    scene.fault("rows_cap", rows=7, count=False)


@ending(0, "complete", **SKIPPED_TERMS)
def _refused_and_never_read_before(scene: Scene) -> None:
    scene.box.forbid(TERMS)


@ending(3, "partial", **SKIPPED_TERMS)
def _refused_and_read_before(scene: Scene) -> None:
    scene.read_before()
    scene.box.forbid(TERMS)


@ending(3, "partial", **{BATCHES: "failed"})
def _one_stream_in_maintenance(scene: Scene) -> None:
    scene.fault("unavailable", BATCHES)


@ending(3, "partial", **{ITEMS: "failed", USERS: "not begun"})
def _sign_in_refused_under_way(scene: Scene) -> None:
    scene.catalog()
    scene.settings["page_size"] = 10
    scene.fault("unauthorized", ITEMS, after=4)


@ending(3, "partial", **{TERMS: "failed"})
def _one_stream_contradicts_its_query(scene: Scene) -> None:
    scene.read_before()
    scene.fault("ignore_filter", TERMS)


@ending(3, "partial", **{ITEMS: "failed"})
def _a_defect_in_one_stream(scene: Scene) -> None:
    scene.code = f"""
from tap_acumatica.reading.reader import EntityReader
original = EntityReader.__iter__
def broken(reader):
    if reader.table.entity_set == {ITEMS!r}:
        raise OverflowError("date value out of range")
    yield from original(reader)
EntityReader.__iter__ = broken
"""


@ending(1, "failed", **dict.fromkeys(STREAMS, "failed"))
def _a_defect_in_all_streams(scene: Scene) -> None:
    scene.code = """
from tap_acumatica.reading.reader import EntityReader
def broken(reader):
    raise OverflowError("date value out of range")
    yield
EntityReader.__iter__ = broken
"""


@ending(77, "failed", **dict.fromkeys(STREAMS, "skipped"))
def _all_streams_refused(scene: Scene) -> None:
    for stream in STREAMS:
        scene.box.forbid(stream)


@ending(77, "failed")
def _a_wrong_password(scene: Scene) -> None:
    scene.settings["password"] = "n0t the password"


@ending(77, "failed", **{**NONE_BEGUN, TERMS: "failed"})
def _a_wrong_password_with_a_catalog(scene: Scene) -> None:
    scene.catalog()
    scene.settings["password"] = "n0t the password"


@ending(75, "failed")
def _maintenance(scene: Scene) -> None:
    scene.box.quirks.maintenance = True


@ending(75, "failed", **{**NONE_BEGUN, TERMS: "failed"})
def _the_requests_of_the_licence_are_used_up(scene: Scene) -> None:
    scene.catalog()
    scene.fault("throttle")


@ending(75, "failed")
def _nobody_listens(scene: Scene) -> None:
    scene.settings["url"] = "http://127.0.0.1:9"


@ending(75, "failed", **{TERMS: "failed", BATCHES: "failed", ITEMS: "failed", USERS: "not begun"})
def _a_server_that_fails_on_everything(scene: Scene) -> None:
    scene.catalog()
    scene.fault("unavailable", *STREAMS)


@ending(78, "failed")
def _a_wrong_setting(scene: Scene) -> None:
    scene.settings["page_size"] = "many"


@ending(78, "failed")
def _a_catalog_that_is_no_json(scene: Scene) -> None:
    scene.files["--catalog"] = "{"


@ending(78, "failed")
def _a_state_of_another_site(scene: Scene) -> None:
    scene.files["--state"] = {"bookmarks": {TERMS: {}}, "site": "elsewhere"}


@ending(78, "failed", **dict.fromkeys(STREAMS, "failed"))
def _answers_that_contradict_all_queries(scene: Scene) -> None:
    scene.catalog()
    scene.fault("retype", column="NoteID", into="object")


@ending(
    143, "stopped", **{TERMS: "complete", BATCHES: "failed", ITEMS: "not begun", USERS: "not begun"}
)
def _terminated(scene: Scene) -> None:
    scene.catalog()
    scene.signal(signal.SIGTERM, at=7)


@ending(130, "stopped", **{**NONE_BEGUN, TERMS: "failed"})
def _interrupted(scene: Scene) -> None:
    scene.catalog()
    scene.signal(signal.SIGINT, at=2)


@ending(None, "running")
def _killed(scene: Scene) -> None:
    scene.catalog()
    scene.signal(signal.SIGKILL, at=9)


@ending(75, "failed", **NONE_BEGUN)
def _a_target_that_has_ended(scene: Scene) -> None:
    scene.settings["closed"] = True


@ending(78, "failed", **{**NONE_BEGUN, TERMS: "failed"})
def _out_of_memory(scene: Scene) -> None:
    scene.code = """
from tap_acumatica.reading.reader import EntityReader
def broken(reader):
    raise MemoryError
    yield
EntityReader.__iter__ = broken
"""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Sandbox(now=NOW, rows=60) as box:
        settings = settings_for(
            box,
            *STREAMS,
            max_retry_time=0,
            run_report=str(tmp_path / "report-{run}.json"),
            sync_log=True,
        )
        yield Scene(box, tmp_path, settings)


def test_a_discovery_that_fails_writes_the_report_since_no_run_will(scene: Scene) -> None:
    config = write_json(scene.folder / "config.json", scene.settings)
    assert run_command("--config", config, "--discover").returncode == 0
    assert not list(scene.folder.glob("report-*"))
    scene.box.quirks.maintenance = True
    discovery = run_command("--config", config, "--discover")
    ended = Ended(scene, discovery.returncode, "", discovery.stderr)
    jsonschema.validate(ended.report, SCHEMA)
    report = {name: ended.report[name] for name in ("outcome", "exit_code", "cause", "streams")}
    assert report == {
        "outcome": "failed",
        "exit_code": discovery.returncode,
        "cause": "maintenance",
        "streams": [],
    }
    assert ended.code == 75


def test_a_report_that_cannot_be_written_ends_the_run_before_it_reads(scene: Scene) -> None:
    scene.settings["run_report"] = str(scene.folder / "nowhere" / "report.json")
    ended = scene.run()
    assert ended.code == 78
    assert "The run report" in ended.err
    assert not scene.box.log


@pytest.mark.parametrize("name", ENDINGS)
def test_all_that_tells_how_a_run_ended_agrees_with_what_happened(name: str, scene: Scene) -> None:
    prepare, code, outcome, statuses = ENDINGS[name]
    prepare(scene)
    ended = scene.run()
    report = ended.report
    jsonschema.validate(report, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert report["outcome"] == outcome, ended.err
    assert report["exit_code"] == code, ended.err
    assert ended.code == (code if code is not None else -signal.SIGKILL)
    if code is None:
        assert "Run " not in ended.err
        return
    require_statuses(report, statuses)
    require_last_line(ended)
    require_sync_log(ended)
    require_truth(ended)


def test_a_run_of_the_template_with_nothing_new_has_a_log_that_can_be_read(scene: Scene) -> None:
    project = yaml.safe_load(Path(__file__).parents[2].joinpath("meltano.yml").read_text())
    (config,) = [
        each["config"]
        for each in project["plugins"]["extractors"]
        if each["name"] == "tap-acumatica--incremental"
    ]
    del scene.settings["entities"]
    scene.settings |= config
    scene.read_before()
    path = write_json(scene.folder / "state.json", scene.files["--state"])
    settings = write_json(scene.folder / "config.json", scene.settings)
    finished = run_command("--config", settings, "--state", path)
    lines = finished.stderr.splitlines()
    assert finished.returncode == 0
    streams = [name for name, method in replication_methods().items() if method == "incremental"]
    assert len([line for line in lines if "complete, " in line]) == len(streams)
    # Meltano adds the two lines of its discovery.
    assert len(lines) <= 38
    assert max(map(len, lines)) <= 300
    assert "Skipping parse" not in finished.stderr


def test_each_tenant_has_metrics_of_its_own_and_one_that_failed_says_so(
    tmp_path: Path,
) -> None:
    with Sandbox(now=NOW, rows=60, tenants=("A", "B")) as box:
        settings = settings_for(box, BATCHES, tenants=["A", "B"], max_retry_time=0)
        box.forbid(BATCHES, tenant="B")
        finished = run_command("--config", write_json(tmp_path / "c.json", settings))
        points = [
            json.loads(line.partition("METRIC: ")[2])
            for line in finished.stderr.splitlines()
            if "METRIC: " in line
        ]
        found = {(each["metric"], each["tags"]["context"]["_tenant"]): each for each in points}
        assert found["record_count", "A"]["value"] == len(box.rows(BATCHES, "A"))
        assert found["sync_duration", "B"]["tags"]["status"] == "failed"
        assert ("record_count", "B") not in found


def require_statuses(report: dict[str, Any], statuses: dict[str, str]) -> None:
    """The report names what became of each stream, and why."""
    found = {facts["stream"]: facts["status"] for facts in report["streams"]}
    assert not found or found == {stream: statuses.get(stream, "complete") for stream in STREAMS}
    for facts in report["streams"]:
        is_read = facts["status"] == "complete"
        assert (facts["cause"] is None) == (facts["sentence"] is None) == is_read
        assert (facts["proof"] is None) != is_read
    if report["outcome"] in {"partial", "failed"}:
        assert report["sentences"]


def require_last_line(ended: Ended) -> None:
    """The last line has the report in its fields, and its figures in words."""
    line, report = ended.last_line, ended.report
    assert sorted(map(str, line["extra"].pop("streams"))) == sorted(map(str, report["streams"]))
    assert line["extra"] == {name: report[name] for name in report if name != "streams"}
    words = line["message"].replace(",", "")
    assert words.startswith(f"Run {report['outcome']}: {len(report['streams'])} streams")
    assert f" {report['rows']} row" in words
    assert f" {report['requests']} request" in words
    counts = Counter(facts["status"] for facts in report["streams"])
    for status in ("skipped", "failed", "not begun"):
        assert (f"{counts[status]} {status}" in words) == bool(counts[status])


def require_sync_log(ended: Ended) -> None:
    """The stream sync_log has a record for each stream that was begun."""
    records = [
        message["record"]
        for message in ended.messages
        if message["type"] == "RECORD" and message["stream"] == "sync_log"
    ]
    report = ended.report
    if ended.scene.settings.get("closed"):
        return
    begun = [facts for facts in report["streams"] if facts["status"] != "not begun"]
    begun = [] if "MemoryError" in ended.scene.code else begun
    assert [record["stream"] for record in records] == [facts["stream"] for facts in begun]
    for record, facts in zip(records, begun, strict=True):
        assert (record["run"], record["tenant"]) == (report["run"], facts["tenant"] or "-")
        same = facts.keys() & record.keys() - {"tenant", "proof", "drift"}
        assert {name: record[name] for name in same} == {name: facts[name] for name in same}
        assert record["proof_counted"] == (facts["proof"] or {}).get("counted")


def require_truth(ended: Ended) -> None:
    """The figures are those of what was written, and of what the server saw."""
    box, report = ended.scene.box, ended.report
    messages = ended.messages
    written = Counter(message["stream"] for message in messages if message["type"] == "RECORD")
    states = [message["value"] for message in messages if message["type"] == "STATE"]
    bookmarks = states[-1].get("bookmarks", {}) if states else {}
    requests = Counter(
        entry.path.rpartition("/")[2] for entry in box.log if "logout" not in entry.path
    )
    if "url" in ended.scene.settings and box.url == ended.scene.settings["url"]:
        assert report["requests"] == sum(requests.values())
    closed = ended.scene.settings.get("closed")
    for facts in report["streams"]:
        stream, rows = facts["stream"], box.rows(facts["stream"])
        assert closed or facts["rows"] == written[stream]
        # What was under way when a signal came is answered, or not, after the end.
        under_way = requests[stream] - facts["requests"]
        assert under_way == 0 or (report["outcome"] == "stopped" and under_way > 0), stream
        assert facts["retries"] <= max(facts["requests"] - 1, 0)
        assert facts["bookmark"] == bookmarks.get(stream, {}).get("replication_key_value") or closed
        if facts["status"] == "complete":
            state = (ended.scene.files.get("--state") or {}).get("bookmarks", {}).get(stream, {})
            if not state.get("replication_key_value"):
                assert facts["rows"] == facts["proof"]["rows"] == len(rows)
                assert facts["proof"]["counted"] in {None, len(rows)}
            assert facts["proof"]["rows"] <= facts["rows"]
    assert report["rows"] == sum(facts["rows"] for facts in report["streams"])
