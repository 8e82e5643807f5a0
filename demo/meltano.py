"""Meltano, run in the project's folder but apart from the user's own settings and state."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
MELTANO = ROOT / ".venv-meltano" / "bin" / "meltano"
OWN = ("MELTANO_", "TAP_ACUMATICA_", "TARGET_JSONL_", "UV_CONSTRAINT", "VIRTUAL_ENV")
PATIENCE = 300  # seconds for a command
TAIL = 30  # lines of the log that a failure shows


def environment(folder: Path) -> dict[str, str]:
    """The variables of the process without those that a user set for runs of their own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    return inherited | {
        "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
        "MELTANO_CLI_LOG_FORMAT": "uncolored",
        # A database of its own: runs begin anew, and the state of real ones is not touched.
        "MELTANO_DATABASE_URI": f"sqlite:///{folder / 'meltano.db'}",
        "MELTANO_ENVIRONMENT": "demo",
        "NO_COLOR": "1",
    }


def streams() -> dict[str, str]:
    """How each stream is read, from the extractors of meltano.yml that name their entities."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    return {
        stream: extractor["name"].partition("--")[2]
        for extractor in project["plugins"]["extractors"]
        for stream in extractor.get("config", {}).get("entities", ())
    }


@dataclass(frozen=True, slots=True)
class Meltano:
    """Calls Meltano with one environment and keeps what it says in one file."""

    folder: Path

    @property
    def log(self) -> Path:
        """What Meltano and its plugins said."""
        return self.folder / "meltano.log"

    def install(self) -> None:
        """Install the tap, with the versions that it is tested with, and the loader."""
        constraints = {"UV_CONSTRAINT": str(ROOT / "constraints.txt")}
        self("install", "extractor", "tap-acumatica", variables=constraints)
        self("install", "loader", "target-jsonl")

    def __call__(self, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        """Run Meltano.

        Raises:
            RuntimeError: It failed; holds the end of its log.
        """
        command = [str(MELTANO), "--env-file", os.devnull, *arguments]
        with self.log.open("a") as log:
            log.write(f"$ meltano {' '.join(arguments)}\n")
            log.flush()
            try:
                subprocess.run(  # noqa: S603 - the arguments are ours
                    command,
                    cwd=ROOT,
                    env=environment(self.folder) | dict(variables or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=True,
                    timeout=PATIENCE,
                )
            except subprocess.SubprocessError as error:
                end = "\n".join(self.log.read_text().splitlines()[-TAIL:])
                message = f"{end}\n\nmeltano {' '.join(arguments)} failed: {reason(error)}."
                raise RuntimeError(message) from error


def reason(error: subprocess.SubprocessError) -> str:
    """Why a process did not do its work."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}"
    return f"no end after {PATIENCE} s"
