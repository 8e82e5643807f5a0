"""`tap-acumatica login` in a process of its own, and the person who signs in at the sandbox."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import requests

from support.running import COMMAND, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox import Sandbox


def oauth_settings(box: Sandbox, **changes: Any) -> dict[str, Any]:
    """Settings of the sandbox's application, without those of an account."""
    return {
        "url": box.url,
        "auth_method": "oauth",
        "client_id": box.client_id,
        "client_secret": box.client_secret,
        "max_retry_time": 5,
        **changes,
    }


def free_callback_url(box: Sandbox, host: str = "localhost") -> str:
    """A callback address on a free port, registered with the application."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://{host}:{free.getsockname()[1]}/callback"
    box.identity.callback_urls.add(url)
    return url


@dataclass
class Login:
    """A running login.

    Attributes:
        url: The address that it printed last.
        printed: All that it printed so far.
    """

    process: subprocess.Popen[str]
    url: str
    printed: str

    def next(self) -> None:
        """Wait for the address of the next tenant."""
        self.url, printed = _read_address(self.process)
        self.printed += printed

    def paste(self, text: str) -> None:
        """Type a line into its terminal."""
        terminal = _require(self.process.stdin)
        terminal.write(text + "\n")
        terminal.flush()

    def finish(self) -> subprocess.CompletedProcess[str]:
        """Wait until it ends."""
        out, err = self.process.communicate(timeout=120)
        return subprocess.CompletedProcess(
            COMMAND, self.process.returncode, self.printed + out, err
        )


@contextmanager
def logging_in(
    folder: Path, settings: dict[str, Any], *options: str, **environment: str
) -> Iterator[Login]:
    """Start a login that waits for somebody to sign in."""
    config = write_json(folder / "login.json", settings)
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "login", "--config", config, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            url, printed = _read_address(process)
            yield Login(process, url, printed)
        finally:
            process.kill()


def sign_in(box: Sandbox, url: str, step: str = "allow") -> str:
    """Do what a person does in the browser; returns the address of the final redirect."""
    with requests.Session() as browser:
        form = {"step": "sign-in", "username": box.username, "password": box.password}
        page = browser.post(url, data=form, timeout=10).text
        ticket = re.findall(r"name=ticket value=(\w+)", page)[0]
        form = {"step": step, "ticket": ticket}
        response = browser.post(url, data=form, timeout=10, allow_redirects=False)
    return response.headers["Location"]


def _read_address(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the address that a login prints, and all that it printed up to there."""
    printed = ""
    while (line := _require(process.stdout).readline()) and not line.startswith("  http"):
        printed += line
    return line.strip(), printed + line


def _require(stream: IO[str] | None) -> IO[str]:
    assert stream
    return stream
