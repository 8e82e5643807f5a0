"""Measure the tap's time for STATE messages: ``python -m benchmarks.state_time CONFIG``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tap_acumatica.output import writer
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from singer_sdk.helpers.types import TapState

spent = 0.0
write_now = writer.PacedStateWriter.write_now


def timed(self: writer.PacedStateWriter, state: TapState) -> None:
    """Write a STATE message, and add up the time."""
    global spent  # noqa: PLW0603 - the one result of this program
    started = time.perf_counter()
    write_now(self, state)
    spent += time.perf_counter() - started


def main() -> int:
    """Sync, then write the seconds to a file beside the config."""
    config = Path(sys.argv[1])
    writer.PacedStateWriter.write_now = timed  # type: ignore[method-assign] # to measure it
    tap = TapAcumatica(config=json.loads(config.read_text()))
    tap.sync()
    tap.run.close()
    config.with_suffix(".seconds").write_text(str(spent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
