"""What holds for every test: whatever it logs or prints, no secret is in it."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, settings

from sandbox import Sandbox
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

NOW = "2026-06-01T12:00:00Z"

SECRETS = (PASSWORD, quote(PASSWORD), b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode())


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A small company on a server whose clock stands still."""
    with Sandbox(now=NOW) as sandbox:
        yield sandbox


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that showed a secret."""
    report = yield
    shown = report.capstdout + report.capstderr + report.caplog
    if report.passed and any(secret in shown for secret in SECRETS):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} showed a secret while {call.when}"
    return report
