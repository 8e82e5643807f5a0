"""Whole processes measured by the kernel: processor time, time, peak memory."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[1]
ENVIRONMENT: Final = {
    name: value
    for name, value in os.environ.items()
    # As installed programs run: compiled once, with buffers.
    if name not in {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
} | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one process took.

    Attributes:
        cpu: User and system seconds.
        wall: Seconds from start to end, or to what was waited for.
        memory: Peak resident memory, MB.
    """

    cpu: float
    wall: float
    memory: float


@dataclass(frozen=True, slots=True)
class Program:
    """A program to measure.

    Attributes:
        until: The text on stdout at which the clock stops; empty: at the end.
        consumer: A program that reads its output, measured along in time alone.
    """

    command: Sequence[str]
    until: bytes = b""
    consumer: Sequence[str] = ()


class Failed(Exception):  # noqa: N818 - says it
    """A program did not end well."""


def python(module: str, *arguments: str) -> list[str]:
    """A module of the benchmarks, run by this Python."""
    return [sys.executable, "-m", f"benchmarks.{module}", *arguments]


def run(program: Program) -> Figures:
    """Run a program to its end.

    Raises:
        Failed: With the end of its log.
    """
    read = bool(program.until or program.consumer)
    log = ROOT / "output" / "bench.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own commands
            program.command,
            stdout=subprocess.PIPE if read else subprocess.DEVNULL,
            stderr=errors,
            env=ENVIRONMENT,
        )
        wall = _wait_for_output(process, program, started)
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = f"{program.command} ended with {process.returncode}:\n{log.read_text()[-2000:]}"
        raise Failed(message)
    return Figures(usage.ru_utime + usage.ru_stime, wall or ended, usage.ru_maxrss / 1024)


def _wait_for_output(
    process: subprocess.Popen[bytes], program: Program, started: float
) -> float | None:
    if not process.stdout:
        return None
    wall = None
    with process.stdout as stdout:
        if program.consumer:
            subprocess.run(program.consumer, stdin=stdout, check=True, env=ENVIRONMENT)  # noqa: S603
            return time.perf_counter() - started
        for line in stdout:
            if wall is None and program.until in line:
                wall = time.perf_counter() - started
    return wall


def save(command: Sequence[str], path: str) -> None:
    """Run a command, its output into a file."""
    with open(path, "wb") as file:  # noqa: PTH123 - a name like any other
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True, env=ENVIRONMENT)  # noqa: S603 - our own


def in_turn(
    programs: Mapping[str, Program],
    times: int = 5,
    *,
    warm_up: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Figures]:
    """The medians of programs that run one after the other, again and again."""
    found: dict[str, list[Figures]] = {name: [] for name in programs}
    for number in range(times + warm_up):
        for name, program in programs.items():
            figures = run(program)
            say(f"{name}: {figures.cpu:.2f} s CPU, {figures.wall:.2f} s, {figures.memory:.0f} MB")
            if number or not warm_up:
                found[name].append(figures)
    return {
        name: Figures(
            *(
                statistics.median(getattr(each, figure) for each in all_of)
                for figure in ("cpu", "wall", "memory")
            )
        )
        for name, all_of in found.items()
    }


@contextmanager
def serving(command: Sequence[str]) -> Iterator[str]:
    """A server while it is needed; its first line is its address."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, cwd=ROOT)  # noqa: S603
    try:
        assert process.stdout  # noqa: S101 - a pipe
        yield process.stdout.readline().decode().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout:
            process.stdout.close()
