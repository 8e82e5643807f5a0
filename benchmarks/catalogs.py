"""Write a catalog with one stream selected, and a catalog of that stream alone.

``python -m benchmarks.catalogs STREAM CATALOG WIDE ONE``. This runs as a separate process, because
the kernel counts the memory of the process that starts a program into the program's peak.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Read the catalog and write both."""
    name, source, wide, one = sys.argv[1:]
    catalog = json.loads(Path(source).read_text())
    for stream in catalog["streams"]:
        stream["metadata"][0]["metadata"]["selected"] = stream["stream"] == name
    selected = [stream for stream in catalog["streams"] if stream["stream"] == name]
    Path(wide).write_text(json.dumps(catalog))
    Path(one).write_text(json.dumps({"streams": selected}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
