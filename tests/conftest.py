"""Set-up for all tests, and the rule that none of them may log or print a secret."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, settings
from support.running import NOW

from sandbox import Sandbox
from sandbox.app import PASSWORD, USERNAME
from sandbox.identity import CLIENT_SECRET
from tap_acumatica.odata.masking import masking
from tap_acumatica.output.writer import PacedStateWriter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# How long an example takes says more about the machine than about the code. In CI the same examples
# are drawn each time: a change must not fail because of examples that others did not get.
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
    """A sandbox with a small company, whose clock stands still."""
    with Sandbox(now=NOW) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _masks_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the masked secrets: they may be ordinary words in the next test."""
    monkeypatch.setattr(masking, "_secrets", masking._secrets)


@pytest.fixture(autouse=True)
def _states_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write each state, however young the last one is: no test is to depend on the time."""
    monkeypatch.setattr(PacedStateWriter, "INTERVAL", 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that logs or prints a secret."""
    report = yield
    output = report.capstdout + report.capstderr + report.caplog
    if report.passed and any(secret in output for secret in SECRETS):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} showed a secret while {call.when}"
    return report
