"""The floor of discovery: import the SDK, fetch the metadata, parse it, and nothing else.

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
    answer = requests.get(
        f"{address}/t/Company/api/odata/dac/$metadata",
        auth=HTTPBasicAuth(username.encode(), password.encode()),
        timeout=60,
    )
    elements = sum(1 for _ in ET.fromstring(answer.content).iter())  # noqa: S314 - our server's
    # The SDK is imported for its time alone.
    sys.stdout.write(f"{elements} elements, {singer_sdk.__name__}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
