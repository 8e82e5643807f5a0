"""Rows that are gone leave a real database, and no others, whatever happens to a run."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from uuid import uuid4

import pytest
from support.running import NOW, settings_for
from support.warehouses import TAP, LoadError, Pipe

from sandbox import Fault, Sandbox
from warehouse import postgres
from warehouse.databases import PostgresSchema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.sessions import RequestRecord

TERMS = "PX_Objects_CS_Terms"


class Database(PostgresSchema):
    """A schema in which rows that are gone are deleted, not marked."""

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"hard_delete": True}


@pytest.fixture(params=[PostgresSchema, Database], ids=["soft", "hard"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PostgresSchema]:
    with postgres.running(tmp_path / "data") as server:
        yield request.param(server, f"s{uuid4().hex}")


def test_rows_that_are_gone_leave_the_table_and_no_others(
    database: PostgresSchema, tmp_path: Path
) -> None:
    with Sandbox(now=NOW, rows=60) as box:
        box.fill(TERMS, 40)
        settings = settings_for(
            box, TERMS, page_size=10, emit_activate_version_messages=True, max_retry_time=0
        )
        due = settings | {"full_read_interval": 0}
        pipe = Pipe(tmp_path)

        def living() -> set[str]:
            return {row["termsid"] for row in database.table(TERMS)}

        def source() -> set[str]:
            return {str(row["TermsID"]) for row in box.rows(TERMS)}

        def delete(number: int) -> None:
            for row in box.rows(TERMS)[:number]:
                box.delete(TERMS, {"TermsID": row["TermsID"]})

        pipe.load(settings, database)
        assert living() == source()
        delete(1)
        (changed, *_) = box.rows(TERMS)
        box.clock.advance(60)
        box.update(TERMS, {"TermsID": changed["TermsID"]}, {"Descr": "changed"})
        pipe.load(settings, database)
        assert len(living()) == len(source()) + 1, "a window does not see it"
        pipe.load(due, database)
        assert living() == source()
        assert "changed" in {row["descr"] for row in database.table(TERMS)}

        delete(20)
        before = living()
        pipe.load(due, database)
        assert living() == before, "a loss above the guard is not believed"
        box.forbid(TERMS)
        with pytest.raises(LoadError):
            pipe.load(due, database)
        box.allow(TERMS)
        box.faults.add(Fault("unauthorized", match=TERMS))
        with pytest.raises(LoadError):
            pipe.load(due, database)
        box.faults.clear()
        assert living() == before
        messages = killed(box, tmp_path)
        assert database.load(messages, tmp_path) is None
        assert living() == before, "nothing is retired by a run that was killed"

        pipe.load(due | {"full_read_max_loss": 100}, database)
        assert living() == source()


def killed(box: Sandbox, folder: Path) -> str:
    """The messages of a run that is due, and is killed in its full read."""
    config = folder / "config.json"
    command = [*TAP, "--config", str(config), "--catalog", str(folder / "catalog.json")]
    command += ["--state", str(folder / "state.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tap:  # noqa: S603 - our own command
        pages = []

        def kill(record: RequestRecord) -> None:
            if "TermsID ge" in unquote_plus(str(record)):
                pages.append(record)
            if len(pages) > 1:
                tap.kill()

        box.before_request(kill)
        messages, _ = tap.communicate()
    box.app.before.clear()
    assert tap.returncode < 0
    assert "ACTIVATE_VERSION" not in messages
    return "".join(line for line in messages.splitlines(keepends=True) if line.endswith("\n"))


@pytest.mark.parametrize("full", [(), (TERMS,)], ids=["incremental", "full"])
def test_no_row_that_lives_is_retired_whether_it_came_in_batches_or_not(
    database: PostgresSchema, tmp_path: Path, full: tuple[str, ...]
) -> None:
    """Batches retire nothing, and the next full read in records retires what is gone."""
    with Sandbox(now=NOW, rows=60) as box:
        box.fill(TERMS, 40)
        settings = settings_for(
            box,
            TERMS,
            page_size=10,
            emit_activate_version_messages=True,
            full_read_interval=0,
            max_retry_time=0,
        )
        root = str(tmp_path / "batches")
        batches = settings | {"batch_config": {"storage": {"root": root}, "batch_size": 15}}
        pipe = Pipe(tmp_path, full)

        def living() -> set[str]:
            return {row["termsid"] for row in database.table(TERMS)}

        def source() -> set[str]:
            return {str(row["TermsID"]) for row in box.rows(TERMS)}

        def change() -> None:
            (gone, changed, *_) = box.rows(TERMS)
            box.clock.advance(60)
            box.delete(TERMS, {"TermsID": gone["TermsID"]})
            box.update(TERMS, {"TermsID": changed["TermsID"]}, {"Descr": f"at {box.clock.now()}"})

        pipe.load(batches, database)
        assert living() == source()
        change()
        pipe.load(settings, database)
        assert living() == source()
        everything = living()
        change()
        pipe.load(batches, database)
        assert living() == everything, "batches retire nothing"
        changed = {descr for row in box.rows(TERMS) if "at " in (descr := str(row["Descr"]))}
        assert changed <= {row["descr"] for row in database.table(TERMS)}
        pipe.load(settings, database)
        assert living() == source()
