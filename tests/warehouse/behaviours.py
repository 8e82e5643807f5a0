"""The targets do with changes what docs/targets.md says; separate, since it takes many loads."""

from __future__ import annotations

from support.pages import column_of

from warehouse.__main__ import behaviours


def test_the_targets_do_what_the_page_says() -> None:
    for package, answers in behaviours().items():
        assert column_of("## Changes", package) == answers, package
