"""The sandbox as a process of its own, and what the demo changes in it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Rows = list[dict[str, Any]]
Snapshot = dict[str, frozenset[str]]
PATIENCE = 60  # seconds
WORK = "2 orders entered, 3 put on hold, 4 items renamed, 1 credit term deleted"


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """A running sandbox."""

    url: str

    def control(self, action: str, **body: object) -> Any:  # noqa: ANN401 - JSON
        """Ask the sandbox for something that no user of Acumatica could ask for."""
        response = requests.post(f"{self.url}/_control/{action}", json=body, timeout=PATIENCE)
        response.raise_for_status()
        return response.json()["result"]

    def rows(self, entity: str) -> Rows:
        """All rows of an entity, in key order."""
        rows: Rows = self.control("rows", entity=entity)
        return rows

    def snapshot(self, entities: Sequence[str]) -> Snapshot:
        """The rows of some entities, to be compared with those of another time."""
        return {
            entity: frozenset(json.dumps(row, sort_keys=True) for row in self.rows(entity))
            for entity in entities
        }

    def update(self, entity: str, key: Sequence[str], rows: Rows, **changes: object) -> None:
        """Change some rows."""
        for row in rows:
            self.control("update", entity=entity, key=_key(row, key), changes=changes)

    def work(self) -> None:
        """Do what ``WORK`` says."""
        orders = self.rows("PX_Objects_SO_SOOrder")
        self.update("PX_Objects_SO_SOOrder", ("OrderType", "OrderNbr"), orders[:3], Status="H")
        new = _key(orders[0], ("OrderType", "CustomerID")) | {"Status": "N"}
        numbers = ("DEMO000001", "DEMO000002")
        self.control(
            "insert",
            entity="PX_Objects_SO_SOOrder",
            rows=[new | {"OrderNbr": number, "OrderTotal": 1250.5} for number in numbers],
        )
        items = self.rows("PX_Objects_IN_InventoryItem")
        self.update("PX_Objects_IN_InventoryItem", ("InventoryCD",), items[:4], Descr="Renamed")
        terms = self.rows("PX_Objects_CS_Terms")
        self.control("delete", entity="PX_Objects_CS_Terms", key=_key(terms[-1], ("TermsID",)))


def _key(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {column: row[column] for column in columns}


@contextmanager
def running(log: Path) -> Iterator[SandboxProcess]:
    """Start a sandbox on a free port, and stop it whatever happens meanwhile.

    Args:
        log: Where its stderr goes.

    Raises:
        RuntimeError: It did not start.
    """
    command = [sys.executable, "-m", "sandbox", "--port", "0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,  # noqa: S603 - our own
    ):
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                message = f"The sandbox did not start:\n{log.read_text()}"
                raise RuntimeError(message)
            yield SandboxProcess(url)
        finally:
            process.terminate()
