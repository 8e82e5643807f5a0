"""Runs the schedules of meltano.yml into PostgreSQL, and compares its tables with the company's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.running import NOW

from demo.meltano import Meltano
from sandbox import Sandbox
from sandbox.app import PASSWORD, USERNAME
from warehouse import postgres
from warehouse.databases import PostgresSchema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDERS = "PX_Objects_SO_SOOrder"
ITEMS = "PX_Objects_IN_InventoryItem"
TERMS = "PX_Objects_CS_Terms"
SETUP = "PX_Objects_GL_GLSetup"
EXTRACTORS = {"INCREMENTAL": (ORDERS, ITEMS), "FULL_TABLE": (TERMS, SETUP)}
"""The streams to read of each extractor: fewer than it has."""
STREAMS = (ORDERS, ITEMS, TERMS, SETUP)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=20) as box:
        yield box


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[PostgresSchema]:
    with postgres.running(tmp_path / "data") as server:
        yield PostgresSchema(server, "acumatica")


class Schedules:
    """Runs the schedules as cron does."""

    def __init__(self, folder: Path, box: Sandbox, tables: PostgresSchema) -> None:
        self._meltano = Meltano(folder)
        self._meltano.install({tables.loader: tables.package})
        self._variables = {
            "TAP_ACUMATICA_URL": box.url,
            "TAP_ACUMATICA_USERNAME": USERNAME,
            "TAP_ACUMATICA_PASSWORD": PASSWORD,
            **{
                f"TAP_ACUMATICA__{name}_ENTITIES": json.dumps(streams)
                for name, streams in EXTRACTORS.items()
            },
            **dict.fromkeys((f"TAP_ACUMATICA__{name}_PRESETS" for name in EXTRACTORS), "[]"),
            **{
                f"TAP_ACUMATICA__{name}__SELECT": json.dumps([f"{each}.*" for each in streams])
                for name, streams in EXTRACTORS.items()
            },
            **{
                f"TARGET_POSTGRES_{name.upper()}": str(value)
                for name, value in tables.settings.items()
                if name in {"host", "port", "user", "password", "database"}
            },
        }

    def __call__(self, name: str) -> None:
        self._meltano("schedule", "run", name, variables=self._variables)


def keys(rows: list[dict[str, Any]], *columns: str) -> list[str]:
    """The keys of rows in order, whatever the case of the columns."""
    lower = ({name.lower(): value for name, value in row.items()} for row in rows)
    return sorted(json.dumps([row[name.lower()] for name in columns]) for row in lower)


def test_the_schedules_keep_the_tables_equal_to_those_of_the_company(
    box: Sandbox, tables: PostgresSchema, tmp_path: Path
) -> None:
    schedule = Schedules(tmp_path, box, tables)
    key = ("OrderType", "OrderNbr")

    def orders() -> tuple[list[str], list[str]]:
        return keys(tables.rows(ORDERS), *key), keys(box.rows(ORDERS), *key)

    schedule("warehouse-incremental")
    schedule("warehouse-nightly")
    for stream in STREAMS:
        assert len(tables.rows(stream)) == len(box.rows(stream)), stream

    gone, changed, *_ = box.rows(ORDERS)
    box.delete(ORDERS, {name: gone[name] for name in key})
    box.update(ORDERS, {name: changed[name] for name in key}, {"Status": "H"})
    box.delete(TERMS, {"TermsID": box.rows(TERMS)[-1]["TermsID"]})
    box.clock.advance(3600)
    schedule("warehouse-incremental")
    in_table, in_company = orders()
    assert set(in_table) - set(in_company) == set(keys([gone], *key))
    (status,) = (r["status"] for r in tables.rows(ORDERS) if r["ordernbr"] == changed["OrderNbr"])
    assert status == "H"

    schedule("warehouse-nightly")
    assert keys(tables.rows(TERMS), "TermsID") == keys(box.rows(TERMS), "TermsID")
    assert len(tables.rows(SETUP)) == 1

    schedule("warehouse-weekend")
    in_table, in_company = orders()
    assert in_table == in_company
    new = {"OrderType": changed["OrderType"], "OrderNbr": "NEW0000001", "Status": "N"}
    box.insert(ORDERS, {**new, "CustomerID": changed["CustomerID"]})
    box.clock.advance(3600)
    schedule("warehouse-incremental")
    in_table, in_company = orders()
    assert in_table == in_company
    for stream in STREAMS:
        assert len(tables.rows(stream)) == len(box.rows(stream)), stream
