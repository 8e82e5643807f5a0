"""Writes a catalog in which one stream is selected, and another of that stream alone.

``python -m benchmarks.catalogs STREAM CATALOG WIDE ONE``. In a process of its own: the kernel
counts the memory of who starts a program to the program's peak.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Read the catalog, and write both."""
    name, given, wide, one = sys.argv[1:]
    catalog = json.loads(Path(given).read_text())
    for stream in catalog["streams"]:
        stream["metadata"][0]["metadata"]["selected"] = stream["stream"] == name
    chosen = [stream for stream in catalog["streams"] if stream["stream"] == name]
    Path(wide).write_text(json.dumps(catalog))
    Path(one).write_text(json.dumps({"streams": chosen}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
