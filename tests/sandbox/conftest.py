from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from sandbox import Sandbox

Get = Callable[..., requests.Response]
NOW = "2026-06-01T12:00:00Z"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as box:
        yield box


@pytest.fixture(scope="module")
def shared_box() -> Iterator[Sandbox]:
    """For tests that only read."""
    with Sandbox(now=NOW, tenants=("Company", "Company B"), rows=300) as box:
        yield box


def getter(box: Sandbox) -> Iterator[Get]:
    with requests.Session() as session:
        session.headers["Authorization"] = box.authorization

        def get(path: str, **options: object) -> requests.Response:
            query = {f"${key}": str(value) for key, value in options.items()}
            address = f"{box.url}/t/Company/api/odata/dac/{path}"
            return session.get(address, params=query, timeout=10, allow_redirects=False)

        yield get


@pytest.fixture
def get(box: Sandbox) -> Iterator[Get]:
    """GET below the root of the first tenant, with a kept session."""
    yield from getter(box)


@pytest.fixture
def read(shared_box: Sandbox) -> Iterator[Get]:
    """GET below the root of the first tenant of the shared server."""
    yield from getter(shared_box)


@pytest.fixture(scope="module")
def empty_box() -> Iterator[Sandbox]:
    """Without rows but those that the tests of a module add."""
    with Sandbox(now=NOW, empty=True) as box:
        yield box


@pytest.fixture
def read_empty(empty_box: Sandbox) -> Iterator[Get]:
    """GET below the root of the first tenant of the empty server."""
    yield from getter(empty_box)
