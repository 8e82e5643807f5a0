"""The floor: fetch pages, then decode, encode and write their rows, and nothing else.

``python -m benchmarks.raw_loop ADDRESS ENTITY [--unread]``; the option leaves the pages unread,
and writes them as they come. Nothing that uses the same HTTP client can take less.
"""

from __future__ import annotations

import sys
from decimal import Decimal

import msgspec
import requests

PAGE = 2000


def main() -> int:
    """Read one entity set by ``$skip``."""
    address, entity, *unread = sys.argv[1:]
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    encoder = msgspec.json.Encoder(decimal_format="number")
    session = requests.Session()
    session.headers["Accept"] = "application/json"
    session.auth = ("someone", "something")
    read = 0
    while True:
        url = f"{address}/t/Company/api/odata/dac/{entity}"
        query = {"$orderby": "RefNbr", "$top": str(PAGE), "$skip": str(read)}
        page = session.get(url, params=query, timeout=60).content
        if unread:
            sys.stdout.buffer.write(page)
            size = page.count(b'"RefNbr"')
        else:
            rows = decoder.decode(page)["value"]
            size = len(rows)
            for row in rows:
                message = {"type": "RECORD", "stream": entity, "record": row}
                sys.stdout.buffer.write(encoder.encode(message) + b"\n")
        read += size
        if size < PAGE:
            break
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
