"""Meltano, run in the project's folder but without the user's own settings and state."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sandbox.extras import small_model
from tap_acumatica.settings.presets import entities_of
from warehouse.targets import pins

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
MELTANO = ROOT / ".venv-meltano" / "bin" / "meltano"
USER_PREFIXES = ("MELTANO_", "TAP_ACUMATICA_", "TARGET_", "UV_CONSTRAINT", "VIRTUAL_ENV")
TIMEOUT = 300  # seconds for a command
TAIL = 30  # lines of the log in the message of a failure


def environment(folder: Path) -> dict[str, str]:
    """Return the environment variables, without those that a user set for their own runs."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(USER_PREFIXES)
    }
    return inherited | {
        "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
        "MELTANO_CLI_LOG_FORMAT": "uncolored",
        # A separate database: the demo starts without state, and the state of real runs is safe.
        "MELTANO_DATABASE_URI": f"sqlite:///{folder / 'meltano.db'}",
        "MELTANO_ENVIRONMENT": "demo",
        "NO_COLOR": "1",
    }


def replication_methods() -> dict[str, str]:
    """Return the replication method by stream, for what the extractors in meltano.yml find."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    company = {name for entity_type in small_model().types for name in entity_type.sets}
    methods: dict[str, str] = {}
    for extractor in project["plugins"]["extractors"]:
        config = extractor.get("config", {})
        streams = [*entities_of(config.get("presets", ())), *config.get("entities", ())]
        method = extractor["name"].partition("--")[2]
        methods |= {stream: method for stream in streams if stream in company}
    return methods


@dataclass(frozen=True, slots=True)
class Meltano:
    """Runs Meltano in one environment, with all output in one file."""

    folder: Path

    @property
    def log(self) -> Path:
        """File with the output of Meltano and its plugins."""
        return self.folder / "meltano.log"

    def install(self, loaders: Mapping[str, str]) -> None:
        """Install the tap and loaders, with their tested versions of dependencies.

        Args:
            loaders: The package of each loader, by the loader's name.
        """
        constraints = {"UV_CONSTRAINT": str(ROOT / "constraints.txt")}
        self("install", "extractor", "tap-acumatica", variables=constraints)
        for loader, package in loaders.items():
            constraints = {"UV_CONSTRAINT": str(pins(package))}
            self("install", "loader", loader, variables=constraints)

    def __call__(self, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        """Run Meltano.

        Raises:
            RuntimeError: Meltano failed; the message holds the end of the log.
        """
        command = [str(MELTANO), "--env-file", os.devnull, *arguments]
        with self.log.open("a") as log:
            log.write(f"$ meltano {' '.join(arguments)}\n")
            log.flush()
            try:
                subprocess.run(  # noqa: S603 - our own arguments
                    command,
                    cwd=ROOT,
                    env=environment(self.folder) | dict(variables or {}),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=True,
                    timeout=TIMEOUT,
                )
            except subprocess.SubprocessError as error:
                end = "\n".join(self.log.read_text().splitlines()[-TAIL:])
                message = f"{end}\n\nmeltano {' '.join(arguments)} failed: {reason(error)}."
                raise RuntimeError(message) from error


def reason(error: subprocess.SubprocessError) -> str:
    """Return the reason for a failure, as text."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}"
    return f"timed out after {TIMEOUT} s"
