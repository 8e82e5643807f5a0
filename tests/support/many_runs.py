"""`python many_runs.py 50 FOLDER ARGUMENT...`: start so many taps at once, each in a process.

The output of each goes to the folder, into files named by its number. All are forked from a process
that has loaded the modules, so that they do not wait for the disk one after the other.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tap_acumatica.tap import TapAcumatica


def run(number: int, folder: Path, start: int, arguments: list[str]) -> None:
    """Wait for the start signal, then run the tap in this process."""
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(folder / f"{number}.{name}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, stream)
    os.read(start, 1)
    TapAcumatica.cli(arguments)


def main() -> int:
    """Start all taps; returns how many of them failed."""
    count, folder, arguments = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    waiting, start = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            os.close(start)
            run(number, folder, waiting, arguments)
        children.append(child)
    # All children read the end of the pipe at once.
    os.close(start)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main())
