"""The SQL of the documentation finds what a warehouse lacks, in real databases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from support.running import NOW, settings_for
from support.warehouses import Pipe

from sandbox import Sandbox
from warehouse import postgres
from warehouse.databases import DuckFile, PostgresSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMS = "PX_Objects_CS_Terms"
ACCOUNTS = "PX_Objects_GL_Account"
PAGE = Path(__file__).parents[2].joinpath("docs", "operations.md").read_text(encoding="utf-8")
FRESHNESS, COUNTS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=60) as box:
        yield box


@pytest.fixture(params=["PostgreSQL", "DuckDB"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PostgresSchema | DuckFile]:
    if request.param == "DuckDB":
        yield DuckFile(tmp_path / "company.duckdb")
        return
    with postgres.running(tmp_path / "data") as server:
        yield PostgresSchema(server, f"s{uuid4().hex}")


def test_a_row_that_was_removed_by_hand_is_found(
    box: Sandbox, database: PostgresSchema | DuckFile, tmp_path: Path
) -> None:
    settings = settings_for(box, TERMS, ACCOUNTS, sync_log=True, decimals="text")
    runs = Pipe(tmp_path, full=(ACCOUNTS,))
    runs.load(settings, database)
    assert database.run(COUNTS) == []
    (account, *_) = box.rows(ACCOUNTS)
    code = account["AccountCD"]
    database.run(f"""DELETE FROM "{ACCOUNTS}" WHERE "AccountCD" = '{code}'""")  # noqa: S608 - our own
    ((stream, _, rows_read, rows_in_table),) = database.run(COUNTS)
    rows = len(box.rows(ACCOUNTS))
    assert (stream, float(rows_read), int(rows_in_table)) == (ACCOUNTS, rows, rows - 1)
    # The next full read brings it back; the other stream is read by a window, and left out.
    box.clock.advance(7200)
    runs.load(settings, database)
    assert database.run(COUNTS) == []
    assert {row[0] for row in database.run(FRESHNESS)} == {TERMS, ACCOUNTS}
    assert len(database.rows("sync_log")) == 4
