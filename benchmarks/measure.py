"""Measurements of whole processes by the kernel: CPU time, wall time, peak memory."""

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
    # Programs run as installed ones do: with compiled modules and buffered output.
    if name not in {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
} | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one process.

    Attributes:
        cpu: User and system time in seconds.
        wall: Time in seconds from the start to the end, or to the output that was waited for.
        memory: Peak resident memory in MB.
    """

    cpu: float
    wall: float
    memory: float


@dataclass(frozen=True, slots=True)
class Program:
    """A program to measure.

    Attributes:
        until: Text on stdout that stops the wall time; empty to measure up to the end.
        consumer: Program that reads the output; it counts in the wall time only.
    """

    command: Sequence[str]
    until: bytes = b""
    consumer: Sequence[str] = ()


class ProgramError(Exception):
    """A program failed."""


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the benchmarks with this Python."""
    return [sys.executable, "-m", f"benchmarks.{module}", *arguments]


def run(program: Program) -> Figures:
    """Run a program to its end.

    Raises:
        ProgramError: The program failed; the message holds the end of the log.
    """
    piped = bool(program.until or program.consumer)
    log = ROOT / "output" / "bench.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own commands
            program.command,
            stdout=subprocess.PIPE if piped else subprocess.DEVNULL,
            stderr=errors,
            env=ENVIRONMENT,
        )
        wall = _wait_for_output(process, program, started)
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        message = f"{program.command} ended with {process.returncode}:\n{log.read_text()[-2000:]}"
        raise ProgramError(message)
    return Figures(usage.ru_utime + usage.ru_stime, wall or ended, usage.ru_maxrss / 1024)


def _wait_for_output(
    process: subprocess.Popen[bytes], program: Program, started: float
) -> float | None:
    if not process.stdout:
        return None
    wall = None
    with process.stdout as stdout:
        if program.consumer:
            subprocess.run(  # noqa: S603 - our own commands
                program.consumer,
                stdin=stdout,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
                env=ENVIRONMENT,
            )
            return time.perf_counter() - started
        for line in stdout:
            if wall is None and program.until in line:
                wall = time.perf_counter() - started
    return wall


def save_output(command: Sequence[str], path: str) -> None:
    """Run a command and save its output to a file."""
    with Path(path).open("wb") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True, env=ENVIRONMENT)  # noqa: S603 - our own command


def measure_in_turn(
    programs: Mapping[str, Program],
    times: int = 5,
    *,
    warm_up: bool = True,
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Figures]:
    """Run programs in turn, several times, and return the medians of their figures."""
    runs: dict[str, list[Figures]] = {name: [] for name in programs}
    for number in range(times + warm_up):
        for name, program in programs.items():
            figures = run(program)
            log(f"{name}: {figures.cpu:.2f} s CPU, {figures.wall:.2f} s, {figures.memory:.0f} MB")
            if number or not warm_up:
                runs[name].append(figures)
    return {
        name: Figures(
            *(
                statistics.median(getattr(figures, field) for figures in figures_of_runs)
                for field in ("cpu", "wall", "memory")
            )
        )
        for name, figures_of_runs in runs.items()
    }


@contextmanager
def serving(command: Sequence[str]) -> Iterator[str]:
    """Run a server for the length of the context; yields its address, the first line it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, cwd=ROOT)  # noqa: S603
    try:
        assert process.stdout  # noqa: S101 - opened as a pipe
        yield process.stdout.readline().decode().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout:
            process.stdout.close()
