"""Read an entity set with a declarative Airbyte source.

``python airbyte_reader.py ADDRESS ENTITY`` runs in its own virtual environment, and therefore
imports nothing from this package.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)


def manifest(address: str, entity: str) -> dict[str, Any]:
    """Return the manifest of a source with one stream, paged by nextLinks."""
    schema = {"type": "object", "additionalProperties": True, "properties": {}}
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [entity]},
        "streams": [
            {
                "type": "DeclarativeStream",
                "name": entity,
                "primary_key": ["RefNbr"],
                "schema_loader": {"type": "InlineSchemaLoader", "schema": schema},
                "retriever": {
                    "type": "SimpleRetriever",
                    "requester": {
                        "type": "HttpRequester",
                        "url_base": f"{address}/t/Company/api/odata/dac",
                        "path": f"/{entity}",
                        "http_method": "GET",
                        "request_parameters": {"$orderby": "RefNbr"},
                        "authenticator": {
                            "type": "BasicHttpAuthenticator",
                            "username": "someone",
                            "password": "something",
                        },
                    },
                    "record_selector": {
                        "type": "RecordSelector",
                        "extractor": {"type": "DpathExtractor", "field_path": ["value"]},
                    },
                    "paginator": {
                        "type": "DefaultPaginator",
                        "page_token_option": {"type": "RequestPath"},
                        "pagination_strategy": {
                            "type": "CursorPagination",
                            "cursor_value": "{{ response['@odata.nextLink'] }}",
                            "stop_condition": "{{ not response.get('@odata.nextLink') }}",
                        },
                    },
                },
            }
        ],
        "spec": {
            "type": "Spec",
            "connection_specification": {"type": "object", "properties": {}},
        },
    }


def main() -> int:
    """Read the whole stream."""
    address, entity = sys.argv[1:]
    catalog = {
        "streams": [
            {
                "stream": {
                    "name": entity,
                    "json_schema": {},
                    "supported_sync_modes": ["full_refresh"],
                },
                "sync_mode": "full_refresh",
                "destination_sync_mode": "append",
            }
        ]
    }
    with tempfile.TemporaryDirectory() as folder:
        config_file, catalog_file = Path(folder, "config.json"), Path(folder, "catalog.json")
        config_file.write_text("{}")
        catalog_file.write_text(json.dumps(catalog))
        source = ConcurrentDeclarativeSource(
            catalog=ConfiguredAirbyteCatalogSerializer.load(catalog),
            config={},
            state=[],
            source_config=manifest(address, entity),
        )
        launch(source, ["read", "--config", str(config_file), "--catalog", str(catalog_file)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
