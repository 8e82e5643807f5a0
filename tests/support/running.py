"""Runs the tap against a sandbox, in this process or in another, and takes its output apart."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from tap_acumatica.run.run import Run
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox import Sandbox

NOW = "2026-06-01T12:00:00Z"
_START = "from tap_acumatica.tap import TapAcumatica; TapAcumatica.cli()"
COMMAND = (sys.executable, "-c", _START)
_AT_ONCE = "from tap_acumatica.output.writer import PacedStateWriter as W; W.INTERVAL = 0; "
STATES_AT_ONCE = (sys.executable, "-c", _AT_ONCE + _START)
"""The command that writes each state, however young the last one is."""


@dataclass
class Output:
    """The messages of one run, and the error that it raised."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None

    def records(self, stream: str | None = None) -> list[dict[str, Any]]:
        """The records of one stream, or of all streams."""
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and stream in {None, message["stream"]}
        ]

    @property
    def state(self) -> dict[str, Any]:
        """The last state."""
        states = [message["value"] for message in self.messages if message["type"] == "STATE"]
        return states[-1] if states else {}

    def types(self) -> list[str]:
        """The types of the messages, in order."""
        return [message["type"] for message in self.messages]


def settings_for(box: Sandbox, *entities: str, **changes: Any) -> dict[str, Any]:
    """Settings that read these entities from the sandbox."""
    return {
        "url": box.url,
        "username": box.username,
        "password": box.password,
        # So that an unexpected failure ends the test soon.
        "max_retry_time": 5,
        **({"entities": list(entities)} if entities else {}),
        **changes,
    }


STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
"""Signals that stop a run; Windows has two of them."""


@contextmanager
def in_this_process() -> Iterator[None]:
    """Restore the signal handlers, which a tap replaces."""
    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def captured_stdout() -> Iterator[io.BytesIO]:
    """Capture stdout as bytes."""
    original, raw = sys.stdout, io.BytesIO()
    sys.stdout = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    try:
        with in_this_process():
            yield raw
    finally:
        sys.stdout.flush()
        sys.stdout.detach()
        sys.stdout = original


def assert_no_secret(text: str, settings: dict[str, Any]) -> None:
    """Fail if a text contains the password or another secret of the settings."""
    password = settings.get("password") or "none"
    credentials = b64encode(f"{settings.get('username')}:{password}".encode()).decode()
    secrets = {password, quote(password), credentials}
    for name in ("secret_headers", "secret_params"):
        secrets.update((settings.get(name) or {}).values())
    assert not [secret for secret in secrets if secret in text]


def run(settings: dict[str, Any], **arguments: Any) -> Output:
    """Sync once in this process; an error that it raises is part of the output."""
    output = Output()
    with captured_stdout() as raw:
        tap_run = Run()
        try:
            # As in the command, the run is closed even if discovery fails.
            TapAcumatica(config=dict(settings), run=tap_run, **arguments).sync()
        except Exception as error:  # noqa: BLE001 - for the test to look at
            output.error = error
        finally:
            tap_run.close()
        sys.stdout.flush()
        lines = raw.getvalue().splitlines()
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    output.messages = [decoder.decode(line) for line in lines]
    assert_no_secret(raw.getvalue().decode() + repr(output.error), settings)
    return output


def discover(settings: dict[str, Any], *, strict: bool = False) -> dict[str, dict[str, Any]]:
    """The streams of the discovered catalog, by name; `strict` as at a terminal."""
    with captured_stdout():
        tap = TapAcumatica(config=dict(settings), setup_mapper=False, run=Run(strict=strict))
        try:
            return {stream["stream"]: stream for stream in tap.catalog_dict["streams"]}
        finally:
            tap.run.close()


def select_all(streams: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A catalog in which all these streams are selected."""
    for stream in streams.values():
        stream["metadata"][0]["metadata"]["selected"] = True
    return {"streams": list(streams.values())}


def write_json(path: Path, content: Any) -> str:
    """Write a settings, catalog or state file; returns its path for the command line."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def last_line(finished: subprocess.CompletedProcess[str]) -> str:
    """The sentence with which a failed command ends: a run has the line of its report behind it."""
    lines = finished.stderr.strip().splitlines()
    return [line for line in lines if not re.search(r"\| Run \w+: ", line)][-1]
