"""`python many_runs.py 50 FOLDER ARGUMENT...`: that many taps, each a process, all started at once.

What each writes is in the folder, under its number. They are forked from a process that has loaded
all modules, so that they do not wait for the disk one after the other.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tap_acumatica.tap import TapAcumatica


def run(number: int, folder: Path, start: int, arguments: list[str]) -> None:
    """Wait for the others, then be a tap."""
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(folder / f"{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, stream)
    os.read(start, 1)
    TapAcumatica.cli(arguments)


def main() -> int:
    """Start them; returns how many failed."""
    count, folder, arguments = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    waiting, start = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            os.close(start)
            run(number, folder, waiting, arguments)
        children.append(child)
    os.close(start)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main())
