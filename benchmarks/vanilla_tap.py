"""A tap after the SDK's template: RESTStream, nextLinks, Basic authentication, nothing tuned.

``python -m benchmarks.vanilla_tap --config CONFIG``; the config has ``url`` and ``entities``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl

from requests.auth import HTTPBasicAuth
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseHATEOASPaginator
from singer_sdk.streams import RESTStream
from typing_extensions import override

from benchmarks.page_server import CHANGED, KEY, ROOT, Mix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any
    from urllib.parse import ParseResult

    import requests
    from singer_sdk.helpers.types import Context

TYPES: dict[str, type[th.JSONTypeHelper[Any]]] = {
    "text": th.StringType,
    "null": th.StringType,
    "whole": th.IntegerType,
    "money": th.NumberType,
    "flag": th.BooleanType,
    "date": th.DateTimeType,
}


class NextLinks(BaseHATEOASPaginator):
    """Paginator that follows nextLinks."""

    @override
    def get_next_url(self, response: requests.Response) -> str | None:
        link: str | None = response.json().get("@odata.nextLink")
        return link


class VanillaStream(RESTStream["ParseResult"]):
    """Stream of one entity set."""

    records_jsonpath = "$.value[*]"
    primary_keys: ClassVar[Sequence[str]] = (KEY,)

    @property
    @override
    def url_base(self) -> str:
        return str(self.config["url"]) + ROOT.rstrip("/")

    @property
    @override
    def authenticator(self) -> HTTPBasicAuth:
        return HTTPBasicAuth("someone", "something")

    @override
    def get_new_paginator(self) -> NextLinks:
        return NextLinks()

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: ParseResult | None
    ) -> dict[str, Any]:
        if next_page_token:
            return dict(parse_qsl(next_page_token.query))
        return {"$orderby": KEY}


class VanillaTap(Tap):
    """Tap with one stream for each entity in the config."""

    name = "vanilla-tap"
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType, required=True),
        th.Property("entities", th.ArrayType(th.StringType), required=True),
        th.Property("columns", th.IntegerType, required=True),
    ).to_dict()

    @override
    def discover_streams(self) -> list[VanillaStream]:
        columns = Mix().columns(self.config["columns"])
        schema = th.PropertiesList(
            th.Property(KEY, th.StringType, required=True),
            th.Property(CHANGED, th.DateTimeType),
            *(th.Property(name, TYPES[kind]) for name, kind in columns),
        ).to_dict()
        streams = []
        for entity in self.config["entities"]:
            stream = VanillaStream(self, schema=schema, name=entity)
            stream.path = "/" + entity
            streams.append(stream)
        return streams


if __name__ == "__main__":
    VanillaTap.cli()
