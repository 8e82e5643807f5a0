"""Runs the tap in this process against a sandbox and takes its output apart."""

from __future__ import annotations

import io
import signal
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

    from sandbox import Sandbox

NOW = "2026-06-01T12:00:00Z"


@dataclass
class Output:
    """The messages of one run."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None

    def records(self, stream: str | None = None) -> list[dict[str, Any]]:
        """The records, of one stream or of all."""
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and stream in {None, message["stream"]}
        ]

    @property
    def state(self) -> dict[str, Any]:
        """The last state."""
        states = [m["value"] for m in self.messages if m["type"] == "STATE"]
        return states[-1] if states else {}

    def types(self) -> list[str]:
        """The types of the messages, in order."""
        return [message["type"] for message in self.messages]


def settings_for(box: Sandbox, *entities: str, **more: Any) -> dict[str, Any]:
    """Settings that read these entities from the sandbox."""
    return {
        "url": box.url,
        "username": box.username,
        "password": box.password,
        # An unexpected failure is to end a test soon.
        "max_retry_time": 5,
        **({"entities": list(entities)} if entities else {}),
        **more,
    }


@contextmanager
def in_this_process() -> Iterator[None]:
    """The handlers of signals, which a tap replaces, are put back in the end."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def captured_stdout() -> Iterator[io.BytesIO]:
    """Stdout as bytes."""
    before, raw = sys.stdout, io.BytesIO()
    sys.stdout = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    try:
        with in_this_process():
            yield raw
    finally:
        sys.stdout.flush()
        sys.stdout.detach()
        sys.stdout = before


def assert_no_secret(text: str, settings: dict[str, Any]) -> None:
    """Nothing that is said holds a password or another secret."""
    password = settings.get("password") or "none"
    credentials = b64encode(f"{settings.get('username')}:{password}".encode()).decode()
    secrets = {password, quote(password), credentials}
    for name in ("secret_headers", "secret_params"):
        secrets.update((settings.get(name) or {}).values())
    assert not [secret for secret in secrets if secret in text]


def run(settings: dict[str, Any], **arguments: Any) -> Output:
    """Sync once; what it raises is in the output."""
    output = Output()
    with captured_stdout() as raw:
        of_the_tap = Run()
        try:
            # As the command does it: closed also when discovery fails.
            TapAcumatica(config=dict(settings), run=of_the_tap, **arguments).sync()
        except Exception as error:  # noqa: BLE001 - tests look at it
            output.error = error
        finally:
            of_the_tap.close()
        sys.stdout.flush()
        lines = raw.getvalue().splitlines()
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    output.messages = [decoder.decode(line) for line in lines]
    assert_no_secret(raw.getvalue().decode() + repr(output.error), settings)
    return output


def discover(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The catalog's streams, by name."""
    with captured_stdout():
        tap = TapAcumatica(config=dict(settings), setup_mapper=False)
        try:
            return {stream["stream"]: stream for stream in tap.catalog_dict["streams"]}
        finally:
            tap.close()


def select_all(streams: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A catalog in which all these streams are selected."""
    for stream in streams.values():
        stream["metadata"][0]["metadata"]["selected"] = True
    return {"streams": list(streams.values())}
