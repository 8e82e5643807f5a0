"""Pauses for each page that it reads: ``python -m benchmarks.slow_consumer ROWS SECONDS``."""

from __future__ import annotations

import sys
import time


def main() -> int:
    """Read lines; pause after each so many."""
    rows, seconds = int(sys.argv[1]), float(sys.argv[2])
    for number, _ in enumerate(sys.stdin.buffer, 1):
        if number % rows == 0:
            time.sleep(seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
