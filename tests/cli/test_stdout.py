"""All that is written to stdout arrives, or a sentence says why not."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.running import COMMAND, discover, select_all, settings_for, write_json
from typing_extensions import override

from tap_acumatica.cli.stdout import complete_stdout
from tap_acumatica.output.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from typing_extensions import Buffer

    from sandbox import Sandbox

LEDGER = "PX_Objects_GL_GLTran"
FULL = Path("/dev/full")


class SlowStdout(io.RawIOBase):
    """An unbuffered stdout that takes a few bytes at once, as a pipe does during a signal."""

    def __init__(self) -> None:
        self.content = b""

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer) -> int:
        first_bytes = bytes(memoryview(data)[:7])
        self.content += first_bytes
        return len(first_bytes)


def test_what_is_taken_in_parts_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    raw: Any = SlowStdout()
    unbuffered = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    monkeypatch.setattr(sys, "stdout", unbuffered)
    with complete_stdout():
        Writer().write_state(b'{"bookmarks":{}}')
        sys.stdout.write("and text\n")
    assert raw.content == b'{"type":"STATE","value":{"bookmarks":{}}}\nand text\n'
    assert sys.stdout is unbuffered


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_that_does_not_block_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    line, lines = b"x" * 9_999 + b"\n", 100

    def read_slowly() -> bytes:
        with os.fdopen(reading, "rb") as pipe:
            return b"".join(iter(lambda: pipe.read(1_000), b""))

    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    with ThreadPoolExecutor(1) as threads:
        arrived = threads.submit(read_slowly)
        with complete_stdout():
            for _ in range(lines):
                sys.stdout.buffer.write(line)
        sys.stdout.close()
        assert arrived.result() == line * lines


# The command


class Commands:
    """The command's arguments for a company whose ledger is longer than a pipe."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        box.fill(LEDGER, 1_000, start="2025-01-01T00:00:00Z", step_seconds=60)
        settings = settings_for(box, LEDGER, page_size=500)
        catalog = write_json(folder / "k.json", select_all(discover(settings)))
        config = ("--config", write_json(folder / "c.json", settings))
        self.sync = (*config, "--catalog", catalog)
        self.discover = (*config, "--discover")
        self.check = ("check", *config)
        self.check_as_json = (*self.check, "--format", "json")


@pytest.fixture
def commands(box: Sandbox, tmp_path: Path) -> Iterator[Commands]:
    yield Commands(box, tmp_path)
    assert box.counters().sessions_open == 0


def start(arguments: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, *arguments],
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


def run_redirected(
    arguments: Sequence[str], redirection: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *arguments],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, **(environment or {})},
    )


def sentence_in(log: Sequence[str]) -> str:
    """The last line of the log but for that of the report, which a run has behind it."""
    return log[-2 if "Run failed: " in log[-1] else -1]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_cuts_no_line_that_waits_for_the_target(
    commands: Commands, unbuffered: str
) -> None:
    with start(commands.sync, PYTHONUNBUFFERED=unbuffered) as process:
        assert process.stdout
        lines = [process.stdout.readline()]
        # The first records have arrived. All of them do not fit the pipe, so the tap is writing.
        select.select([process.stdout], [], [])
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate()
    assert process.returncode == 143
    types = [json.loads(line)["type"] for line in (*lines, *rest.splitlines())]
    assert types == ["SCHEMA", *["RECORD"] * 500, "STATE"]


@pytest.mark.parametrize("name", ["sync", "discover", "check"])
def test_a_target_that_ended_is_said(commands: Commands, name: str) -> None:
    with start(getattr(commands, name)) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        log = process.stderr.read().decode().splitlines()
    assert process.returncode == 75
    assert "The target closed the pipe before everything was written" in sentence_in(log)
    assert "Traceback" not in "".join(log)


@pytest.mark.skipif(not FULL.exists(), reason="no disk that is always full")
@pytest.mark.parametrize("name", ["sync", "discover", "check", "check_as_json"])
def test_a_full_disk_is_said(commands: Commands, name: str) -> None:
    finished = run_redirected(getattr(commands, name), f">{FULL}")
    assert finished.returncode == 75
    log = finished.stderr.decode().splitlines()
    assert "written (No space left on device): make room" in sentence_in(log)
    assert "Traceback" not in "".join(log)


@pytest.mark.parametrize("name", ["sync", "discover", "check"])
def test_a_closed_stdout_is_said(commands: Commands, name: str) -> None:
    finished = run_redirected(getattr(commands, name), ">&-")
    assert finished.returncode == 75
    assert b"Standard output is closed" in finished.stderr.splitlines()[-1]


def test_a_closed_stderr_is_no_reason_to_fail(commands: Commands) -> None:
    finished = run_redirected(commands.sync, "2>&-")
    assert finished.returncode == 0
    assert json.loads(finished.stdout.splitlines()[-1])["type"] == "STATE"


# The encoding


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_check_has_other_marks_where_the_encoding_lacks_them(
    commands: Commands, encoding: str
) -> None:
    finished = run_redirected(commands.check, "", {"PYTHONIOENCODING": encoding})
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.decode(encoding).splitlines()
    assert lines[0].startswith("+  Address ")
    assert lines[-1] == "A sync would work."


def test_letters_that_the_encoding_lacks_are_replaced(tmp_path: Path) -> None:
    config = tmp_path / "c.json"
    config.write_text(
        json.dumps({"url": "https://erp.example", "page_size": "größer"}), encoding="utf-8"
    )
    check = ("check", "--config", str(config))
    finished = run_redirected(check, "", {"PYTHONIOENCODING": "ascii"})
    assert finished.returncode == 1
    assert b"x  Settings " in finished.stdout
    assert b"(found 'gr??er')" in finished.stdout


@pytest.mark.parametrize("name", ["discover", "check_as_json"])
def test_json_is_utf_8_whatever_the_locale_is(commands: Commands, name: str) -> None:
    utf_8 = run_redirected(getattr(commands, name), "", {"PYTHONIOENCODING": "utf-8"})
    expected: Any = json.loads(utf_8.stdout)
    assert expected
    utf_16 = run_redirected(getattr(commands, name), "", {"PYTHONIOENCODING": "utf-16"})
    assert json.loads(utf_16.stdout.decode()).keys() == expected.keys()
