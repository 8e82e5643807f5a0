"""Extract an entity set with dlt.

``python dlt_reader.py ADDRESS ENTITY`` runs in its own virtual environment, and therefore imports
nothing from this package.
"""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING, Any

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import HttpBasicAuth
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> int:
    """Extract the entity set, page by page along the nextLinks."""
    address, entity = sys.argv[1:]
    client = RESTClient(
        base_url=f"{address}/t/Company/api/odata/dac",
        auth=HttpBasicAuth("someone", "something"),
        paginator=JSONLinkPaginator(next_url_path="['@odata.nextLink']"),
        data_selector="value",
    )

    @dlt.resource(name=entity)  # type: ignore[untyped-decorator] # not installed here
    def rows() -> Iterator[Any]:
        yield from client.paginate(f"/{entity}", params={"$orderby": "RefNbr"})

    with tempfile.TemporaryDirectory() as folder:
        dlt.pipeline("bench", pipelines_dir=folder, destination="filesystem").extract(rows())
    return 0


if __name__ == "__main__":
    sys.exit(main())
