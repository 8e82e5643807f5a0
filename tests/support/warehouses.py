"""Runs the tap into a target, by a pipe or by Meltano."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.running import write_json
from warehouse.targets import program

if TYPE_CHECKING:
    from pathlib import Path

    from demo.meltano import Meltano
    from warehouse.databases import Destination

TAP = (sys.executable, "-m", "tap_acumatica")
TIMEOUT = 300  # seconds


class LoadError(Exception):
    """The tap or the target failed."""


@dataclass
class Pipe:
    """Runs the tap into the target, as a person does at a terminal, with a catalog.

    Attributes:
        full: Streams that the catalog has read in full.
    """

    folder: Path
    full: tuple[str, ...] = ()

    def load(self, settings: dict[str, Any], destination: Destination) -> None:
        """Discover, read and load once; the next call continues from there.

        Raises:
            LoadError: The tap or the target failed.
        """
        config = write_json(self.folder / "config.json", settings)
        target = write_json(self.folder / "target.json", destination.settings)
        state = self.folder / "state.json"
        command = [*TAP, "--config", config, "--catalog", self._catalog(config)]
        command += ["--state", str(state)] if state.exists() else []
        log = self.folder / "target.log"
        with (
            log.open("w") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as tap,  # noqa: S603 - our own command
        ):
            loaded = subprocess.run(  # noqa: S603 - our own command
                [program(destination.package, destination.loader), "--config", target],
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                stderr=errors,
                check=False,
                timeout=TIMEOUT,
            )
        if tap.returncode or loaded.returncode:
            raise LoadError(log.read_text())
        state.write_bytes(loaded.stdout.splitlines()[-1])

    def _catalog(self, config: str) -> str:
        discover = [*TAP, "--config", config, "--discover"]
        text = subprocess.run(discover, check=True, capture_output=True, timeout=TIMEOUT).stdout  # noqa: S603 - our own command
        catalog = json.loads(text)
        for stream in catalog["streams"]:
            if stream["tap_stream_id"] in self.full:
                stream["replication_method"] = "FULL_TABLE"
        return write_json(self.folder / "catalog.json", catalog)


@dataclass
class ThroughMeltano:
    """Runs the extractor and the loader of meltano.yml."""

    meltano: Meltano

    def load(self, settings: dict[str, Any], destination: Destination) -> None:
        """Run once; the next call continues from there.

        Raises:
            LoadError: Meltano failed.
        """
        loader = destination.loader
        variables = {
            **_variables("TAP_ACUMATICA", settings),
            **_variables(loader.replace("-", "_").upper(), destination.settings),
            "TAP_ACUMATICA__SELECT": json.dumps([f"{name}.*" for name in settings["entities"]]),
        }
        try:
            self.meltano("run", "tap-acumatica", loader, variables=variables)
        except RuntimeError as error:
            raise LoadError(str(error)) from error


def _variables(prefix: str, settings: dict[str, Any]) -> dict[str, str]:
    return {
        f"{prefix}_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
