"""What a check found, for people and for programs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tap_acumatica.check.findings import Finding, Status
from tap_acumatica.odata.errors import AcumaticaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARKS: Final[Mapping[Status, tuple[str, str]]] = {
    Status.GOOD: ("✓", "green"),
    Status.NOTE: ("!", "yellow"),
    Status.BAD: ("✗", "red"),
}
PLAIN: Final = str.maketrans("✓✗", "+x")
"""The marks where the output has no others than ASCII's."""
STEP_WIDTH: Final = 11
UNWRAPPED: Final = 10_000
"""Columns of a line that is not for a terminal: it stays one line."""


class CheckFailed(AcumaticaError):  # noqa: N818 - as the sentence says it
    """A sync would not work."""


def show(findings: Iterable[Finding], console: Console | None = None) -> list[Finding]:
    """Print one line a step, as it is found; returns them all."""
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else UNWRAPPED)
    shown: list[Finding] = []
    with console.status("Asking Acumatica ..."):
        for finding in findings:
            if finding.tenant and (not shown or finding.tenant != shown[-1].tenant):
                console.print(Text(f"\nTenant {finding.tenant}", style="bold"))
            console.print(_line(finding, plain=console.options.ascii_only))
            shown.append(finding)
    works = not _bad(shown)
    verdict = "A sync would work." if works else "A sync would not work."
    console.print()
    console.print(Text(verdict, style="bold green" if works else "bold red"))
    return shown


def as_json(findings: Iterable[Finding]) -> tuple[str, list[Finding]]:
    """All steps as one JSON object; and the steps."""
    found = list(findings)
    content = {
        "works": not _bad(found),
        "causes": _causes(found),
        "steps": [asdict(finding) for finding in found],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode(), found


def require_good(findings: Iterable[Finding]) -> None:
    """Fail where a sync would.

    Raises:
        CheckFailed: Naming the causes.
    """
    causes = _causes(findings)
    if causes:
        message = f"A sync would not work ({', '.join(causes)}): see the steps that failed."
        raise CheckFailed(message)


def _line(finding: Finding, *, plain: bool) -> Table:
    mark, style = MARKS[finding.status]
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=1)
    line.add_column(width=STEP_WIDTH)
    line.add_column(overflow="fold")
    loud = "" if finding.status is Status.GOOD else style
    line.add_row(
        Text(mark.translate(PLAIN) if plain else mark, style=style),
        Text(finding.step, style="bold"),
        Text(finding.text, style=loud),
    )
    return line


def _bad(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status is Status.BAD]


def _causes(findings: Iterable[Finding]) -> list[str]:
    return list(dict.fromkeys(each.cause or each.step.lower() for each in _bad(findings)))
