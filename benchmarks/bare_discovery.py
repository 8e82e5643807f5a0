"""The floor of discovery: import the SDK, then fetch and parse the metadata, and nothing else.

``python -m benchmarks.bare_discovery ADDRESS USERNAME PASSWORD``
"""

from __future__ import annotations

import sys
from xml.etree import ElementTree as ET

import requests
import singer_sdk
from requests.auth import HTTPBasicAuth


def main() -> int:
    """Parse ``$metadata`` into a tree."""
    address, username, password = sys.argv[1:]
    response = requests.get(
        f"{address}/t/Company/api/odata/dac/$metadata",
        auth=HTTPBasicAuth(username.encode(), password.encode()),
        timeout=60,
    )
    elements = sum(1 for _ in ET.fromstring(response.content).iter())  # noqa: S314 - from our own server
    # The SDK is imported only because its import takes time.
    sys.stdout.write(f"{elements} elements, {singer_sdk.__name__}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
