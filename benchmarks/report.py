"""Writes docs/performance.md: the figures, the machine and the date."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Final

from benchmarks.measure import ROOT
from benchmarks.scenarios import FEWER_ROWS, READERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Figures
    from benchmarks.scenarios import Measure, Results

PAGE: Final = ROOT / "docs" / "performance.md"
PLOT: Final = ROOT / "docs" / "performance.svg"
TEMPLATE: Final = ROOT / "benchmarks" / "performance.md"
"""The text of the page, with placeholders for the results."""

BAR_HEIGHT, LEFT, WIDTH = 26, 130, 760


def write(scenarios: Mapping[str, Results]) -> None:
    """Write the page and its plot from the results by scenario."""
    results = scenarios.values()
    figures = {name: table for result in results for name, table in result.figures.items()}
    page = TEMPLATE.read_text()
    if READERS in figures:
        PLOT.write_text(_plot(figures[READERS]))
    else:
        page = re.sub(r"!\[.*\]\(performance.svg\)\n\n", "", page)
    for placeholder, text in {
        "BARS": _bars([measure for result in results for measure in result.measures]),
        "FIGURES": "\n\n".join(
            _figures(name, table, result.rounds[name])
            for result in results
            for name, table in result.figures.items()
        ),
        "MACHINE": _machine(),
        "SERVER": f"{max((ms for result in results for ms in result.server), default=0):.2f} ms",
        "MISSING": _missing([name for result in results for name in result.missing]),
    }.items():
        page = page.replace(f"<!-- {placeholder} -->", text)
    PAGE.write_text(page)


def _bars(measures: list[Measure]) -> str:
    lines = ["| measure | measured | bar | |", "|---|---:|---:|---|"]
    for measure in measures:
        unit = f" {measure.unit}" if measure.unit else ""
        sign = "≥" if measure.least else "≤"
        bar = "" if measure.bar is None else f"{sign} {measure.bar:g}{unit}"
        met = {None: "", True: "met", False: "**missed**"}[measure.met]
        value = f"{measure.value:.0f}" if measure.unit == "MB" else f"{measure.value:.2f}"
        lines.append(f"| {measure.what} | {value}{unit} | {bar} | {met} |")
    return "\n".join(lines)


def _figures(name: str, programs: dict[str, Figures], rounds: int) -> str:
    lines = [f"**{name}** ({'one run' if rounds == 1 else f'medians of {rounds} runs'})", ""]
    lines += ["| program | CPU | wall | peak memory |", "|---|---:|---:|---:|"]
    for program, took in programs.items():
        lines.append(f"| {program} | {took.cpu:.2f} s | {took.wall:.2f} s | {took.memory:.0f} MB |")
    return "\n".join(lines)


def _machine() -> str:
    day = datetime.now(UTC).date().isoformat()
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _cpuinfo().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    return (
        f"{day}, {cores} cores ({model}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; load average {os.getloadavg()[2]:.1f} at the end of "
        "the last scenario"
    )


def _cpuinfo() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - no path of ours
            return file.read()
    except OSError:
        return ""


def _missing(names: list[str]) -> str:
    if not names:
        return ""
    return f"\n\nNot installed on this machine, and therefore not measured: {', '.join(names)}."


def _plot(readers: dict[str, Figures]) -> str:
    """Rows per second as horizontal bars."""
    rates = {name: FEWER_ROWS / figures.wall for name, figures in readers.items()}
    fastest = max(rates.values())
    height = BAR_HEIGHT * len(rates) + 44
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"',
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="8" y="20" font-weight="bold">Rows per second, start included,',
        f"{FEWER_ROWS:,} rows x 30 columns</text>",
    ]
    for at, (name, rate) in enumerate(rates.items()):
        top = 34 + at * BAR_HEIGHT
        width = (WIDTH - LEFT - 90) * rate / fastest
        colour = "#2a6f97" if name == "tap" else "#a9b4c2"
        lines += [
            f'<text x="{LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{width:.0f}" height="{BAR_HEIGHT - 6}"',
            f'fill="{colour}"/>',
            f'<text x="{LEFT + width + 6:.0f}" y="{top + 15}">{rate:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
