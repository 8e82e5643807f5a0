"""``python -m benchmarks [SCENARIO]``: measure, and write docs/performance.md when all was run."""

from __future__ import annotations

import sys
import time

from benchmarks.report import write
from benchmarks.scenarios import Bench


def main() -> int:
    """Run the benchmarks."""
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:5.0f} s  {line}\n")
        sys.stdout.flush()

    only = sys.argv[1] if len(sys.argv) > 1 else ""
    results = Bench(say).run(only)
    if not only:
        write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
