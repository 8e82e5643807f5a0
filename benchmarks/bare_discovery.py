"""The floor of discovery: import the SDK, fetch the metadata, parse it, and nothing else.

``python -m benchmarks.bare_discovery ADDRESS USERNAME PASSWORD``
"""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import requests
import singer_sdk


def main() -> int:
    """Parse ``$metadata`` into a tree."""
    assert singer_sdk.Tap  # noqa: S101 - it is imported for its time
    address, username, password = sys.argv[1:]
    answer = requests.get(
        f"{address}/t/Company/api/odata/dac/$metadata",
        auth=(username.encode(), password.encode()),
        timeout=60,
    )
    sys.stdout.write(f"{len(list(ET.fromstring(answer.content).iter()))} elements\n")  # noqa: S314 - our own server's
    return 0


if __name__ == "__main__":
    sys.exit(main())
