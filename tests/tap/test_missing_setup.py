"""Setup data that are declared but missing are not asked for again for a day, never for longer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.running import discover, run, run_command, select_all, settings_for, write_json

from sandbox import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Sandbox

TERMS = "PX_Objects_CS_Terms"
USERS = "PX_SM_Users"
YEAR = "PX_Objects_GL_FinYearSetup"
SETUP = "PX_Objects_GL_GLSetup"


def requests_for(box: Sandbox, entity_set: str) -> int:
    return sum(entity_set in request.path for request in box.log)


def age(folder: Path, seconds: float) -> None:
    """Let the files in a folder be older by these seconds."""
    for file in folder.iterdir():
        written = file.stat().st_mtime - seconds
        os.utime(file, (written, written))


@pytest.mark.parametrize("pool", [1, 4])
@pytest.mark.parametrize("with_catalog", [True, False])
def test_setup_data_that_are_missing_are_asked_for_once_a_day(
    box: Sandbox, tmp_path: Path, pool: int, *, with_catalog: bool
) -> None:
    config = settings_for(
        box, YEAR, USERS, SETUP, max_pool_size=pool, metadata_cache=str(tmp_path / "cache")
    )
    catalog = select_all(discover(config)) if with_catalog else None
    outputs = [run(config, catalog=catalog)]
    assert requests_for(box, YEAR) == 1
    outputs.append(run(config, catalog=catalog, state=outputs[0].state))
    age(tmp_path / "cache", 86_000)
    outputs.append(run(config, catalog=catalog))
    assert requests_for(box, YEAR) == 1
    age(tmp_path / "cache", 500)
    outputs.append(run(config, catalog=catalog))
    assert requests_for(box, YEAR) == 2
    outputs.append(run(config, catalog=catalog))
    assert requests_for(box, YEAR) == 2
    for output in outputs:
        assert output.error is None
        assert len(output.records(USERS)) == len(box.rows(USERS))
        assert len(output.records(SETUP)) == 1
    assert requests_for(box, SETUP) == len(outputs)


def test_without_a_cache_missing_setup_data_are_asked_for_in_each_run(box: Sandbox) -> None:
    for number in (1, 2):
        assert run(settings_for(box, YEAR, TERMS)).error is None
        assert requests_for(box, YEAR) == number


def test_setup_data_that_had_a_row_are_never_taken_for_missing(
    box: Sandbox, tmp_path: Path
) -> None:
    config = settings_for(box, SETUP, TERMS, metadata_cache=str(tmp_path))
    first = run(config)
    assert first.records(SETUP)
    box.faults.add(Fault("not_found", match=SETUP))
    for _ in range(2):
        box.reset_counters()
        assert "(404)" in str(run(config, state=first.state).error)
        assert requests_for(box, SETUP) == 1
    # A run that knows nothing of that row remembers, and the one that knows it asks all the same.
    assert run(config).error is None
    box.faults.clear()
    assert not run(config).records(SETUP)
    assert run(config, state=first.state).records(SETUP)


def test_a_run_that_fails_forgets_what_was_missing(box: Sandbox, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    config = write_json(
        tmp_path / "c.json", settings_for(box, YEAR, TERMS, metadata_cache=str(cache))
    )
    assert run_command("--config", config).returncode == 0
    assert [file for file in cache.iterdir() if file.suffix == ".missing"]
    box.faults.add(Fault("empty_body", match=TERMS))
    assert run_command("--config", config).returncode != 0
    assert list(cache.iterdir()) == []


def test_a_set_is_asked_for_in_each_run_even_if_it_is_missing(box: Sandbox, tmp_path: Path) -> None:
    config = settings_for(box, "SOOrder", TERMS, metadata_cache=str(tmp_path))
    box.faults.add(Fault("not_found", match="SOOrder"))
    for number in (1, 2):
        assert run(config).error is None
        assert requests_for(box, "PX_Objects_SO_SOOrder") == number
