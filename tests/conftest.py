"""What holds for every test: whatever it logs or prints, no secret is in it."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, settings

from sandbox import Sandbox
from sandbox.app import PASSWORD, USERNAME
from sandbox.identity import CLIENT_SECRET
from tap_acumatica.odata.log import masking

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

NOW = "2026-06-01T12:00:00Z"

# How long an example takes says more about the machine than about the code. Where a change is
# judged, the same examples are drawn each time: it must not fail for those of another one.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("untimed")

SECRETS = (
    *(form for secret in (PASSWORD, CLIENT_SECRET) for form in (secret, quote(secret))),
    b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode(),
)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A small company on a server whose clock stands still."""
    with Sandbox(now=NOW) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _masks_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test masks may be a word of the next one."""
    monkeypatch.setattr(masking, "_secrets", masking._secrets)


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
