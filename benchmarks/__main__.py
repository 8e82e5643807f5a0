"""``python -m benchmarks [SCENARIO ...] [--rounds N]``: measure, and write docs/performance.md.

What a scenario found is kept in output/bench, so that one can be run again by itself: the page
holds the last figures of each.
"""

from __future__ import annotations

import argparse
import sys
import time

import msgspec

from benchmarks.report import write
from benchmarks.scenarios import FOLDER, SCENARIOS, Bench, Results


def main() -> int:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser("benchmarks")
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each program")
    options = parser.parse_args()
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:5.0f} s  {line}\n")
        sys.stdout.flush()

    bench = Bench(say, options.rounds)
    found: dict[str, Results] = {}
    for name in SCENARIOS:
        file = FOLDER / f"{name}.found"
        if name in (options.scenarios or SCENARIOS):
            file.write_bytes(msgspec.json.encode(bench.run(name)))
        if file.exists():
            found[name] = msgspec.json.decode(file.read_bytes(), type=Results)
    write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
