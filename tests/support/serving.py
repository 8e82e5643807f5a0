"""Requests to a sandbox, for the tests of the sandbox itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox import Sandbox

NOW = "2026-06-01T12:00:00Z"


class Get(Protocol):
    """GET below the root of the first tenant; options are the query's, without their ``$``."""

    def __call__(self, path: str, **options: object) -> requests.Response: ...


@contextmanager
def getting(box: Sandbox, **headers: str) -> Iterator[Get]:
    """Open a signed-in client that keeps its session."""
    with requests.Session() as session:
        session.headers.update(Authorization=box.authorization, **headers)

        def get(path: str, **options: object) -> requests.Response:
            query = {f"${key}": str(value) for key, value in options.items()}
            url = f"{box.url}/t/Company/api/odata/dac/{path}"
            return session.get(url, params=query, timeout=10, allow_redirects=False)

        yield get
