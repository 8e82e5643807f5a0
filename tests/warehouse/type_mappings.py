"""The targets make of columns what docs/targets.md says: a release that changes it is noticed."""

from __future__ import annotations

import pytest
from support.pages import column_of

from warehouse import columns


@pytest.mark.parametrize("package", columns.SQL_TARGETS)
def test_the_column_types_are_those_of_the_page(package: str) -> None:
    types = {kind: f"`{name}`" for kind, name in columns.column_types(package).items()}
    assert column_of("## Columns", package) == types


@pytest.mark.parametrize("target", columns.FILE_TARGETS, ids=lambda target: target.package)
def test_the_files_hold_what_the_page_says(target: type[columns.FileTarget]) -> None:
    values = {kind: f"`{value}`" for kind, value in columns.written_values(target).items()}
    assert column_of("## Files", target.package) == values
