"""``python -m benchmarks [SCENARIO ...] [--rounds N]``: measure, and write docs/performance.md.

The results of each scenario are stored in output/bench, so that a scenario can be run again by
itself. The page shows the latest results of each.
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

    def log(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started:5.0f} s  {line}\n")
        sys.stdout.flush()

    bench = Bench(log, options.rounds)
    results: dict[str, Results] = {}
    for name in SCENARIOS:
        file = FOLDER / f"{name}.found"
        if name in (options.scenarios or SCENARIOS):
            file.write_bytes(msgspec.json.encode(bench.run(name)))
        if file.exists():
            results[name] = msgspec.json.decode(file.read_bytes(), type=Results)
    write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
