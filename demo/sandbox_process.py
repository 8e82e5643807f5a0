"""The sandbox as a separate process, and the demo's changes to its data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Rows = list[dict[str, Any]]
Snapshot = dict[str, Counter[str]]
"""Rows by entity, as text; rows may look alike if their key may not be read."""
TIMEOUT = 60  # seconds
CHANGES = "2 orders entered, 3 put on hold, 4 items renamed, 1 credit term deleted"


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """A running sandbox."""

    url: str

    def control(self, action: str, **body: object) -> Any:  # noqa: ANN401 - JSON
        """Run a control action, which the real Acumatica does not have."""
        response = requests.post(f"{self.url}/_control/{action}", json=body, timeout=TIMEOUT)
        response.raise_for_status()
        return response.json()["result"]

    def rows(self, entity: str) -> Rows:
        """Return all rows of an entity in key order."""
        rows: Rows = self.control("rows", entity=entity)
        return rows

    def snapshot(self, entities: Sequence[str]) -> Snapshot:
        """Return the rows of some entities, for a comparison with a later snapshot."""
        return {
            entity: Counter(json.dumps(row, sort_keys=True) for row in self.rows(entity))
            for entity in entities
        }

    def update(self, entity: str, key: Sequence[str], rows: Rows, **changes: object) -> None:
        """Update some rows."""
        for row in rows:
            self.control("update", entity=entity, key=_key(row, key), changes=changes)

    def make_changes(self) -> None:
        """Make the changes that ``CHANGES`` lists."""
        orders = self.rows("PX_Objects_SO_SOOrder")
        self.update("PX_Objects_SO_SOOrder", ("OrderType", "OrderNbr"), orders[:3], Status="H")
        order = _key(orders[0], ("OrderType", "CustomerID")) | {"Status": "N"}
        numbers = ("DEMO000001", "DEMO000002")
        self.control(
            "insert",
            entity="PX_Objects_SO_SOOrder",
            rows=[order | {"OrderNbr": number, "OrderTotal": 1250.5} for number in numbers],
        )
        items = self.rows("PX_Objects_IN_InventoryItem")
        self.update("PX_Objects_IN_InventoryItem", ("InventoryCD",), items[:4], Descr="Renamed")
        terms = self.rows("PX_Objects_CS_Terms")
        self.control("delete", entity="PX_Objects_CS_Terms", key=_key(terms[-1], ("TermsID",)))


def _key(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {column: row[column] for column in columns}


@contextmanager
def running(log: Path) -> Iterator[SandboxProcess]:
    """Run a sandbox on a free port for the length of the context.

    Args:
        log: File for the sandbox's stderr.

    Raises:
        RuntimeError: The sandbox did not start.
    """
    command = [sys.executable, "-m", "sandbox", "--port", "0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,  # noqa: S603 - our own command
    ):
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                message = f"The sandbox did not start:\n{log.read_text()}"
                raise RuntimeError(message)
            yield SandboxProcess(url)
        finally:
            process.terminate()
