"""`tap-acumatica login` in a process of its own, and who signs in at the sandbox."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox import Sandbox

COMMAND = (sys.executable, "-c", "from tap_acumatica.tap import TapAcumatica; TapAcumatica.cli()")


def oauth_settings(box: Sandbox, **more: Any) -> dict[str, Any]:
    """Settings of the sandbox's application, without those of an account."""
    return {
        "url": box.url,
        "auth_method": "oauth",
        "client_id": box.client_id,
        "client_secret": box.client_secret,
        "max_retry_time": 5,
        **more,
    }


def a_callback_url(box: Sandbox, host: str = "localhost") -> str:
    """A callback address at a free port, which the application knows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://{host}:{free.getsockname()[1]}/callback"
    box.identity.callback_urls.add(url)
    return url


@dataclass
class Login:
    """A running login.

    Attributes:
        url: The address that it printed.
    """

    process: subprocess.Popen[str]
    url: str
    printed: str

    def next(self) -> None:
        """Wait for the address of the next tenant."""
        self.url, printed = _address(self.process)
        self.printed += printed

    def paste(self, text: str) -> None:
        """Type a line into its terminal."""
        _of(self.process.stdin).write(text + "\n")
        _of(self.process.stdin).flush()

    def finish(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=120)
        return subprocess.CompletedProcess(
            COMMAND, self.process.returncode, self.printed + out, err
        )


@contextmanager
def logging_in(
    folder: Path, settings: dict[str, Any], *options: str, **environment: str
) -> Iterator[Login]:
    """A login that waits for somebody."""
    config = folder / "login.json"
    config.write_text(json.dumps(settings), encoding="utf-8")
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "login", "--config", str(config), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            url, printed = _address(process)
            yield Login(process, url, printed)
        finally:
            process.kill()


def sign_in(box: Sandbox, url: str, step: str = "allow") -> str:
    """Do what a person does in a browser; returns where it is led in the end."""
    with requests.Session() as browser:
        form = {"step": "sign-in", "username": box.username, "password": box.password}
        page = browser.post(url, data=form, timeout=10).text
        ticket = re.findall(r"name=ticket value=(\w+)", page)[0]
        form = {"step": step, "ticket": ticket}
        led = browser.post(url, data=form, timeout=10, allow_redirects=False)
    return led.headers["Location"]


def _address(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The address that a login prints, and all that it printed up to there."""
    printed = ""
    while (line := _of(process.stdout).readline()) and not line.startswith("  http"):
        printed += line
    return line.strip(), printed + line


def _of(stream: IO[str] | None) -> IO[str]:
    assert stream
    return stream
