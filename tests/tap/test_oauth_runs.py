"""Runs with OAuth: no token is lost, none is logged, and no session stays open."""

from __future__ import annotations

import itertools
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.logging_in import oauth_settings
from support.running import COMMAND, NOW, discover, run, select_all, write_json

from sandbox import Fault, Sandbox
from tap_acumatica.odata.errors import AcumaticaError, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.running import Output

USERS = "PX_SM_Users"
TERMS = "PX_Objects_CS_Terms"
LEDGER = "PX_Objects_GL_GLTran"
ORDERS = "PX_Objects_SO_SOOrder"
RUNS = 50
MANY_RUNS = Path(__file__).parents[1] / "support" / "many_runs.py"
LOGIN = r"Acumatica refused the refresh token .*: run `tap-acumatica login` to sign in again\."


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def settings(box: Sandbox, token_file: Path) -> dict[str, Any]:
    """Settings with a first refresh token."""
    refresh_token = box.grant().refresh_token
    return oauth_settings(box, token_file=str(token_file), refresh_token=refresh_token)


def token_requests(box: Sandbox) -> int:
    """The number of requests for a token."""
    return box.counters().requests["/identity/connect/token"]


def tokens_in(token_file: Path) -> list[dict[str, Any]]:
    """The tokens in the file."""
    return [entry["token"] for entry in json.loads(token_file.read_text()).values()]


def read(settings: dict[str, Any], *entities: str, **changes: Any) -> Output:
    return run({**settings, "entities": list(entities), **changes})


def test_a_refresh_token_lets_a_run_in_and_the_next_one_by_the_file(
    box: Sandbox, settings: dict[str, Any], token_file: Path
) -> None:
    for _ in range(2):
        output = read(settings, USERS)
        assert output.error is None
        assert len(output.records(USERS)) == len(box.rows(USERS))
        assert box.counters().sessions_open == 0
    assert token_requests(box) == 1
    (token,) = tokens_in(token_file)
    assert token["refresh_token"] == box.identity.grants[0].refresh_token
    assert token_file.stat().st_mode & 0o777 == 0o600


def test_a_new_refresh_token_in_the_settings_counts_before_the_file(
    box: Sandbox, settings: dict[str, Any]
) -> None:
    assert read(settings, USERS).error is None
    box.identity.revoke()
    new = {**settings, "refresh_token": box.grant().refresh_token}
    assert read(new, USERS).error is None
    assert read(new, USERS).error is None
    assert not box.identity.grants[1].revoked


def test_certificates_that_are_not_there_are_no_fault_of_the_token_file(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with Sandbox(now=NOW, empty=True, tls=True) as box:
        refresh_token = box.grant().refresh_token
        settings = oauth_settings(box, token_file=str(token_file), refresh_token=refresh_token)
        error = read(settings, USERS).error
    assert isinstance(error, RequestFailed)
    assert (error.cause, "/nowhere/ca.pem" in str(error)) == ("no certificates", True)


@pytest.mark.parametrize("verbosity", [1, 3, 5])
def test_no_token_is_told(
    box: Sandbox, settings: dict[str, Any], caplog: pytest.LogCaptureFixture, verbosity: int
) -> None:
    caplog.set_level(logging.DEBUG)
    box.before_request(lambda _: box.clock.advance(1))
    box.identity.token_life = 2
    output = read(settings, TERMS, verbosity=verbosity)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.NOTSET)
    assert output.error is None
    (grant,) = box.identity.grants
    secrets = {*grant.spent, *grant.access_tokens, box.client_secret}
    assert len(secrets) > 6
    text = caplog.text + json.dumps([repr(message) for message in output.messages])
    assert not [secret for secret in secrets if secret in text]


def test_a_run_whose_token_ends_every_two_seconds_completes(
    box: Sandbox, settings: dict[str, Any], token_file: Path
) -> None:
    box.before_request(lambda _: box.clock.advance(1))
    box.identity.token_life = 2
    output = read(settings, LEDGER, ORDERS, USERS, page_size=50)
    assert output.error is None
    for stream in (LEDGER, ORDERS, USERS):
        key = output_key(output, stream)
        delivered = {tuple(row[k] for k in key) for row in output.records(stream)}
        assert delivered == {tuple(row[k] for k in key) for row in box.rows(stream)}
    assert token_requests(box) > 10
    (grant,) = box.identity.grants
    assert not grant.revoked
    assert [token["refresh_token"] for token in tokens_in(token_file)] == [grant.refresh_token]
    assert box.counters().sessions_open == 0


def output_key(output: Output, stream: str) -> list[str]:
    """The key of a stream in its SCHEMA message."""
    schemas = [m for m in output.messages if m["type"] == "SCHEMA" and m["stream"] == stream]
    key: list[str] = schemas[0]["key_properties"]
    return key


def test_a_refresh_token_that_is_revoked_in_the_middle_stops_the_run_with_a_valid_state(
    box: Sandbox, settings: dict[str, Any]
) -> None:
    catalog = select_all(discover({**settings, "entities": [LEDGER, USERS]}))
    requests = 0

    def count(_: object) -> None:
        nonlocal requests
        requests += 1
        if requests == 6:
            box.identity.revoke()

    box.before_request(count)
    stopped = run({**settings, "page_size": 50}, catalog=catalog)
    assert isinstance(stopped.error, RequestFailed)
    with pytest.raises(RequestFailed, match=LOGIN):
        raise stopped.error
    assert stopped.records(LEDGER)
    assert box.counters().sessions_open == 0
    again = {**settings, "refresh_token": box.grant().refresh_token}
    rest = run(again, catalog=catalog, state=stopped.state)
    assert rest.error is None
    key = output_key(rest, LEDGER)
    rows = [*stopped.records(LEDGER), *rest.records(LEDGER)]
    delivered = {tuple(row[k] for k in key) for row in rows}
    assert delivered == {tuple(row[k] for k in key) for row in box.rows(LEDGER)}


def test_the_password_lets_a_run_in(box: Sandbox) -> None:
    settings = oauth_settings(box, username=box.username, password=box.password)
    assert read(settings, USERS).records(USERS)
    assert box.counters().sessions_open == 0
    wrong = read({**settings, "password": "wrong"}, USERS, TERMS)
    assert "password" in str(wrong.error)
    assert token_requests(box) == 2, "the wrong one was sent once"


@pytest.mark.parametrize("scope", ["api", "api openid offline_access"])
def test_without_concurrent_access_all_connections_are_one_session(
    box: Sandbox, scope: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = oauth_settings(box, username=box.username, password=box.password, scope=scope)
    output = read(settings, USERS, TERMS, LEDGER, max_pool_size=3)
    assert output.error is None
    assert box.counters().sessions_opened == 1
    assert box.counters().sessions_open == 0
    assert "without api:concurrent_access in scope" in caplog.text


def test_with_concurrent_access_each_connection_is_a_session(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    settings = oauth_settings(
        box, username=box.username, password=box.password, scope="api api:concurrent_access"
    )
    output = read(settings, USERS, TERMS, LEDGER, max_pool_size=3)
    assert output.error is None
    assert box.counters().sessions_opened > 1
    assert box.counters().sessions_open == 0
    assert "without api:concurrent_access" not in caplog.text


def test_sign_out_proves_who_asks_by_the_token(box: Sandbox, settings: dict[str, Any]) -> None:
    box.identity.token_life = 2
    box.before_request(lambda record: box.clock.advance(5) if "GLTran" in record.path else None)
    assert read(settings, TERMS).error is None
    signed_out = [record for record in box.log if record.kind == "logout"]
    assert [record.status for record in signed_out] == [204]
    assert box.counters().sessions_open == 0


def test_each_tenant_has_tokens_of_its_own(token_file: Path) -> None:
    with Sandbox(now=NOW, tenants=("A", "B", "C")) as box:
        settings = oauth_settings(
            box,
            client_id=box.client_id.partition("@")[0],
            token_file=str(token_file),
            username=box.username,
            password=box.password,
            tenants=["A", "B", "C"],
        )
        output = read(settings, USERS)
        assert output.error is None
        assert {row["_tenant"] for row in output.records(USERS)} == {"A", "B", "C"}
        assert [grant.tenant for grant in box.identity.grants] == ["A", "B", "C"]
        assert len(tokens_in(token_file)) == 3
        assert box.counters().sessions_open == 0
        assert read(settings, USERS).error is None
        assert len(box.identity.grants) == 3


@pytest.mark.parametrize("locked", [False, True])
def test_a_password_that_is_refused_in_one_tenant_is_sent_to_no_other(locked: bool) -> None:
    tenants = ["A", "B", "C"]
    with Sandbox(now=NOW, tenants=tenants) as box:
        settings = oauth_settings(
            box,
            client_id=box.client_id.partition("@")[0],
            username=box.username,
            password=box.password,
            tenants=tenants,
            max_pool_size=3,
        )
        catalog = select_all(discover({**settings, "entities": [USERS, TERMS]}))
        if locked:
            box.quirks.lockout = 0
        else:
            settings["password"] = "wrong"
        box.reset_counters()
        output = run(settings, catalog=catalog)
        assert ("account is locked out" if locked else "for the password") in str(output.error)
        assert token_requests(box) == 1


def test_the_tenant_of_the_client_id_is_read_where_no_other_is_named(token_file: Path) -> None:
    with Sandbox(now=NOW, tenants=("A", "B")) as box:
        settings = oauth_settings(
            box,
            client_id=box.identity.client_id("B"),
            token_file=str(token_file),
            refresh_token=box.grant("B").refresh_token,
        )
        output = read(settings, USERS)
        assert output.error is None
        assert output.records(USERS)
        assert "_tenant" not in output.records(USERS)[0]
        assert {record.path for record in box.log if record.kind == "data"} == {
            "/t/B/api/odata/dac/PX_SM_Users"
        }


def test_nobody_has_signed_in(box: Sandbox, token_file: Path) -> None:
    output = read(oauth_settings(box, token_file=str(token_file)), USERS)
    assert isinstance(output.error, AcumaticaError)
    assert "Nobody has signed in yet: run `tap-acumatica login`" in str(output.error)


def test_what_the_identity_server_fails_at_in_passing_is_asked_for_again(
    box: Sandbox, settings: dict[str, Any]
) -> None:
    box.faults.add(Fault("unavailable", "connect/token", times=1, retry_after="1"))
    assert read(settings, USERS).error is None


class HeldTokens:
    """Holds back the responses to requests for tokens."""

    def __init__(self, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requested, self.release = threading.Event(), threading.Event()
        issue_token = box.identity.token

        def hold(form: Mapping[str, str]) -> dict[str, object]:
            token = issue_token(form)
            self.requested.set()
            assert self.release.wait(60)
            return token

        monkeypatch.setattr(box.identity, "token", hold)


def stop_during_token_request(
    held: HeldTokens, settings: dict[str, Any], folder: Path, *arguments: str, number: int
) -> tuple[int, str]:
    """Stop the command while it requests a token; returns its exit code and stdout."""
    config, out = write_json(folder / "c.json", settings), folder / "out"
    with (
        out.open("w") as stdout,
        subprocess.Popen(  # noqa: S603 - our own command
            [*COMMAND, *arguments, "--config", config],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr
        assert held.requested.wait(60)
        process.send_signal(number)
        assert any("Waiting for an access token" in line for line in process.stderr)
        held.release.set()
        return process.wait(60), out.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_token_is_asked_for_loses_no_token(
    box: Sandbox, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    token_file = Path(settings["token_file"])
    held = HeldTokens(box, monkeypatch)
    code, _ = stop_during_token_request(
        held, settings, token_file.parent, "--discover", number=number
    )
    assert code == 128 + number
    (token,) = tokens_in(token_file)
    assert token["refresh_token"] == box.identity.grants[0].refresh_token


def test_a_sync_that_is_told_to_stop_while_a_token_is_renewed_loses_no_token(
    box: Sandbox, settings: dict[str, Any], token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings |= {"entities": [LEDGER], "page_size": 50}
    catalog = write_json(token_file.with_name("k.json"), select_all(discover(settings)))
    held, requests = HeldTokens(box, monkeypatch), []

    def end_access(record: object) -> None:
        requests.append(record)
        if len(requests) == 4:
            box.identity.end_access()

    box.before_request(end_access)
    code, out = stop_during_token_request(
        held, settings, token_file.parent, "--catalog", catalog, number=signal.SIGTERM
    )
    assert code == 143
    assert json.loads(out.splitlines()[-1])["type"] == "STATE"
    assert box.counters().sessions_open == 0
    (token,) = tokens_in(token_file)
    assert token["refresh_token"] == box.identity.grants[0].refresh_token


def test_fifty_runs_at_once_share_a_token_file(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path, token_file: Path
) -> None:
    streams = discover({**settings, "entities": [USERS]})
    catalog = write_json(tmp_path / "k.json", select_all(streams))
    config = write_json(tmp_path / "c.json", settings)
    # The stored token has expired for all runs, and the next one is ended while some are at work.
    content = json.loads(token_file.read_text())
    for entry in content.values():
        entry["token"]["renew_at"] = time.time() - 1
    write_json(token_file, content)
    box.reset_counters()
    (grant,) = box.identity.grants
    numbers = itertools.count(1)

    def count(_: object) -> None:
        if next(numbers) == RUNS // 2:  # atomic: each request gets a number of its own
            box.identity.end_access()

    box.before_request(count)
    runs = subprocess.run(  # noqa: S603 - our own command
        [
            sys.executable,
            str(MANY_RUNS),
            str(RUNS),
            str(tmp_path),
            *("--config", config, "--catalog", catalog),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    logs = [(tmp_path / f"{number}.err").read_text()[-500:] for number in range(RUNS)]
    assert runs.returncode == 0, "\n".join([runs.stderr, *logs])
    outputs = [(tmp_path / f"{number}.out").read_text() for number in range(RUNS)]
    assert {text.count('"RECORD"') for text in outputs} == {len(box.rows(USERS))}
    assert not grant.revoked, "no refresh token came twice"
    assert 2 <= token_requests(box) < RUNS
    (token,) = tokens_in(token_file)
    assert token["refresh_token"] == grant.refresh_token
    assert box.identity.bearer(f"Bearer {token['access_token']}") == (grant, True)
    assert box.counters().sessions_open == 0
