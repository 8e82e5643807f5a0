"""Whatever a run gets, it ends with records or with a sentence.

FUZZ_INPUTS in the environment says how many inputs are drawn, and FUZZ_SEED which.
"""

from __future__ import annotations

import os
from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, seed, settings
from support.fuzzing import KINDS, Fuzzer, Input, inputs

if TYPE_CHECKING:
    from pathlib import Path

INPUTS = int(os.environ.get("FUZZ_INPUTS", "280"))
SEED = os.environ.get("FUZZ_SEED", "0")
PORTION = 500
"""Inputs of one test at most: hypothesis remembers what it has drawn."""

OF_EACH_KIND = ceil(INPUTS / len(KINDS))
PORTIONS = [
    pytest.param(kind, start, id=f"{kind}-{start}")
    for kind in KINDS
    for start in range(0, OF_EACH_KIND, PORTION)
]


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no alarms")
@pytest.mark.parametrize(("kind", "start"), PORTIONS)
def test_any_input_ends_in_records_or_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, start: int
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    fuzzer = Fuzzer(folder)

    @seed(f"{SEED} {kind} {start}")
    @settings(
        max_examples=min(PORTION, OF_EACH_KIND - start),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(kind))
    def check(given: Input) -> None:
        fuzzer.run(given).require_proper()

    check()
