"""Shows the findings of a check, as text for people and as JSON for programs."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tap_acumatica.check.findings import Finding, Status
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.masking import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARKS: Final[Mapping[Status, tuple[str, str]]] = {
    Status.GOOD: ("✓", "green"),
    Status.NOTE: ("!", "yellow"),
    Status.BAD: ("✗", "red"),
}
ASCII_MARKS: Final = str.maketrans("✓✗", "+x")
"""The marks for an output whose encoding has only ASCII characters."""
STEP_WIDTH: Final = 11
UNWRAPPED_WIDTH: Final = 10_000
"""Width of the output outside a terminal, so that no line is wrapped."""


class CheckFailed(AcumaticaError):  # noqa: N818 - as the sentence says it
    """A sync would not work."""


def show(findings: Iterable[Finding], console: Console | None = None) -> list[Finding]:
    """Print a line for each finding as soon as it is there, and return all findings."""
    width = None if sys.stdout.isatty() else UNWRAPPED_WIDTH
    console = console or Console(highlight=False, width=width)
    printed: list[Finding] = []
    with console.status("Asking Acumatica ..."):
        for finding in map(_shown, findings):
            if finding.tenant and (not printed or finding.tenant != printed[-1].tenant):
                console.print(Text(f"\nTenant {finding.tenant}", style="bold"))
            console.print(_line(finding, ascii_only=console.options.ascii_only))
            printed.append(finding)
    works = not _bad(printed)
    verdict = "A sync would work." if works else "A sync would not work."
    console.print()
    console.print(Text(verdict, style="bold green" if works else "bold red"))
    return printed


def as_json(findings: Iterable[Finding]) -> tuple[str, list[Finding]]:
    """Return all findings as one JSON object, and as a list."""
    collected = [_shown(finding) for finding in findings]
    content = {
        "works": not _bad(collected),
        "causes": _causes(collected),
        "steps": [asdict(finding) for finding in collected],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode(), collected


def require_good(findings: Iterable[Finding]) -> None:
    """Raise an error if a sync would fail.

    Raises:
        CheckFailed: At least one step failed; the message names the causes.
    """
    causes = _causes(findings)
    if causes:
        message = f"A sync would not work ({', '.join(causes)}): see the steps that failed."
        raise CheckFailed(message)


def _shown(finding: Finding) -> Finding:
    """Return the finding as it may be printed: it can quote a server."""
    return replace(finding, text=shown(finding.text))


def _line(finding: Finding, *, ascii_only: bool) -> Table:
    mark, style = MARKS[finding.status]
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=1)
    line.add_column(width=STEP_WIDTH)
    line.add_column(overflow="fold")
    text_style = "" if finding.status is Status.GOOD else style
    line.add_row(
        Text(mark.translate(ASCII_MARKS) if ascii_only else mark, style=style),
        Text(finding.step, style="bold"),
        Text(finding.text, style=text_style),
    )
    return line


def _bad(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status is Status.BAD]


def _causes(findings: Iterable[Finding]) -> list[str]:
    return list(dict.fromkeys(finding.cause or finding.step.lower() for finding in _bad(findings)))
