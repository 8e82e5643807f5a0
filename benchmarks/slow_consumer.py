"""Consume lines slowly: ``python -m benchmarks.slow_consumer ROWS SECONDS``."""

from __future__ import annotations

import sys
import time


def main() -> int:
    """Read lines from stdin, and pause after every ROWS of them."""
    rows, seconds = int(sys.argv[1]), float(sys.argv[2])
    for number, _ in enumerate(sys.stdin.buffer, 1):
        if number % rows == 0:
            time.sleep(seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
