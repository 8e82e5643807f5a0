"""`tap-acumatica login` without a browser; login_in_browser.py tests it with one."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from support.logging_in import Login, free_callback_url, logging_in, oauth_settings, sign_in
from support.running import NOW, in_this_process, last_line, run, run_command, write_json

from sandbox import Fault, Sandbox
from tap_acumatica.login import page as login_page
from tap_acumatica.login.callback import Callback, next_callback, receive_callbacks
from tap_acumatica.login.login import EXPLANATIONS, login
from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

USERS = "PX_SM_Users"


@pytest.fixture
def settings(box: Sandbox, tmp_path: Path) -> dict[str, Any]:
    return oauth_settings(
        box, callback_url=free_callback_url(box), token_file=str(tmp_path / "tokens.json")
    )


def page(url: str) -> str:
    """The last page, which the browser shows after the redirect."""
    response = requests.get(url, timeout=30)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return response.text


def assert_signed_in(
    box: Sandbox, settings: dict[str, Any], finished: subprocess.CompletedProcess[str]
) -> None:
    assert finished.returncode == 0, finished.stderr
    assert "Signed in to the tenant Company." in finished.stdout
    assert "--discover" in finished.stdout
    output = finished.stdout + finished.stderr
    (grant,) = box.identity.grants
    tokens = (grant.refresh_token, *grant.access_tokens)
    assert not [token for token in tokens if str(token) in output]
    assert run({**settings, "entities": [USERS]}).records(USERS)


def request_parameters(running: Login) -> dict[str, list[str]]:
    return parse_qs(urlsplit(running.url).query)


def test_who_signs_in_lets_the_tap_in(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path
) -> None:
    with logging_in(tmp_path, settings, "--no-browser") as running:
        assert request_parameters(running)["code_challenge_method"] == ["S256"]
        html = page(sign_in(box, running.url))
        finished = running.finish()
    assert "You are signed in" in html
    assert "Company" in html
    assert_signed_in(box, settings, finished)
    assert (tmp_path / "tokens.json").stat().st_mode & 0o777 == 0o600


def test_the_browser_is_opened(box: Sandbox, settings: dict[str, Any], tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = shlex.join(
        [sys.executable, "-c", f"import sys; open({str(opened)!r}, 'w').write(sys.argv[1])", "%s"]
    )
    with logging_in(tmp_path, settings, BROWSER=browser) as running:
        assert "which was opened at" in running.printed
        assert opened.read_text() == running.url
        page(sign_in(box, running.url))
        assert_signed_in(box, settings, running.finish())


def test_the_address_can_be_pasted(box: Sandbox, settings: dict[str, Any], tmp_path: Path) -> None:
    with logging_in(tmp_path, settings, "--no-browser") as running:
        url = sign_in(box, running.url)
        running.paste("")
        running.paste("what is this?")
        running.paste(f"  {url}")
        finished = running.finish()
    assert "This is not the address of the last page" in finished.stdout
    assert_signed_in(box, settings, finished)


def test_a_callback_of_this_machine_by_ipv6_is_listened_on(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["callback_url"] = free_callback_url(box, "[::1]")
    with logging_in(tmp_path, settings, "--no-browser") as running:
        assert "You are signed in" in page(sign_in(box, running.url))
        assert_signed_in(box, settings, running.finish())


def test_a_callback_on_another_host_is_pasted(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["callback_url"] = "https://intranet.example/callback"
    box.identity.callback_urls.add(settings["callback_url"])
    with logging_in(tmp_path, settings, "--no-browser") as running:
        running.paste(sign_in(box, running.url))
        assert_signed_in(box, settings, running.finish())


def test_the_answer_to_another_sign_in_is_turned_away(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path
) -> None:
    with logging_in(tmp_path, settings, "--no-browser") as running:
        url = sign_in(box, running.url)
        state = request_parameters(running)["state"][0]
        html = page(url.replace(state, "another"))
        assert "This is the answer to another sign-in" in html
        assert box.identity.grants == []
        assert requests.get(url.partition("?")[0], timeout=30).status_code == 404
        assert requests.get(url.replace("callback", "else"), timeout=30).status_code == 404
        page(url)
        assert_signed_in(box, settings, running.finish())


def test_a_denial_is_said_in_words(box: Sandbox, settings: dict[str, Any], tmp_path: Path) -> None:
    with logging_in(tmp_path, settings, "--no-browser") as running:
        url = sign_in(box, running.url, step="deny")
        html = page(url)
        finished = running.finish()
    assert "You are not signed in" in html
    assert "denied on the consent page" in html
    assert "<code>tap-acumatica login</code>" in html
    assert finished.returncode == 78
    assert "Nobody was signed in: access was denied on the consent page" in last_line(finished)
    assert "Traceback" not in finished.stderr


Opened = Callable[[dict[str, Any]], "tuple[str, Future[None]]"]


@pytest.fixture
def open_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Start a login in this process, without a terminal: the address that it opens, and its end."""
    opened: SimpleQueue[str] = SimpleQueue()
    monkeypatch.setattr("tap_acumatica.login.callback.sys.stdin", None)
    monkeypatch.setattr("webbrowser.open", opened.put)
    with ThreadPoolExecutor(1) as threads:

        def open_here(settings: dict[str, Any]) -> tuple[str, Future[None]]:
            with in_this_process():
                tap = TapAcumatica(config=settings, setup_mapper=False)
            ended = threads.submit(login, tap.run.settings.account, tap.run.settings.client)
            return opened.get(timeout=30), ended

        yield open_here


@pytest.mark.parametrize("code", [*EXPLANATIONS, "something_new"])
def test_every_refusal_of_the_sign_in_page_has_words(
    settings: dict[str, Any], open_here: Opened, code: str
) -> None:
    url, ended = open_here(settings)
    state = parse_qs(urlsplit(url).query)["state"][0]
    html = page(
        f"{settings['callback_url']}?error={code}&state={state}"
        "&error_description=%3Cscript%3Ealert(1)%3C/script%3E"
    )
    assert "<script" not in html
    with pytest.raises(AcumaticaError, match=code) as raised:
        ended.result(30)
    assert EXPLANATIONS.get(code, "see its own description") in str(raised.value)


def test_without_refresh_tokens_the_scope_is_the_remedy(
    box: Sandbox, settings: dict[str, Any], open_here: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    box.identity.refresh_tokens = "none"
    url, ended = open_here(settings)
    assert "You are not signed in" in requests.get(url, timeout=30).text
    with pytest.raises(AcumaticaError, match="remove offline_access"):
        ended.result(30)
    url, ended = open_here({**settings, "scope": "api"})
    page(sign_in(box, url))
    ended.result(30)
    assert "issued no refresh token" in capsys.readouterr().out


def test_a_code_that_is_refused_is_said_on_the_page_too(
    box: Sandbox,
    settings: dict[str, Any],
    open_here: Opened,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, ended = open_here(settings)
    state = parse_qs(urlsplit(url).query)["state"][0]
    html = page(f"{settings['callback_url']}?code=made-up&state={state}")
    assert "Acumatica refused the code" in html
    with pytest.raises(AcumaticaError, match="Acumatica refused the code") as raised:
        ended.result(30)
    assert "made-up" not in str(raised.value) + caplog.text
    assert box.identity.grants == []


def test_a_new_login_counts_though_the_old_refresh_token_is_in_the_settings(
    box: Sandbox, settings: dict[str, Any], open_here: Opened
) -> None:
    settings["refresh_token"] = box.grant().refresh_token
    box.identity.revoke()
    url, ended = open_here(settings)
    page(sign_in(box, url))
    ended.result(30)
    assert run({**settings, "entities": [USERS]}).error is None


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Sandbox, dict[str, Any]]]:
    """Two tenants, and settings to sign in to both."""
    with Sandbox(now=NOW, tenants=("A", "B"), empty=True) as box:
        yield (
            box,
            oauth_settings(
                box,
                client_id=box.client_id.partition("@")[0],
                callback_url=free_callback_url(box),
                token_file=str(tmp_path / "tokens.json"),
                tenants=["A", "B"],
            ),
        )


@pytest.mark.parametrize("chosen", [None, "b"])
def test_each_tenant_is_signed_in_to(
    two: tuple[Sandbox, dict[str, Any]], tmp_path: Path, chosen: str | None
) -> None:
    box, settings = two
    options = () if chosen is None else ("--tenant", chosen)
    with logging_in(tmp_path, settings, "--no-browser", *options) as running:
        page(sign_in(box, running.url))
        if chosen is None:
            running.next()
            page(sign_in(box, running.url))
        assert running.finish().returncode == 0
    tenants = ["B"] if chosen else ["A", "B"]
    assert [grant.tenant for grant in box.identity.grants] == tenants
    assert len(json.loads((tmp_path / "tokens.json").read_text())) == len(tenants)


def test_the_address_of_each_tenant_is_pasted_once(
    two: tuple[Sandbox, dict[str, Any]], tmp_path: Path
) -> None:
    box, settings = two
    with logging_in(tmp_path, settings, "--no-browser") as running:
        running.paste(sign_in(box, running.url))
        running.next()
        running.paste(sign_in(box, running.url))
        assert running.finish().returncode == 0
    assert [grant.tenant for grant in box.identity.grants] == ["A", "B"]


def test_a_connection_that_a_browser_opened_ahead_serves_the_next_tenant(
    two: tuple[Sandbox, dict[str, Any]], tmp_path: Path
) -> None:
    box, settings = two
    port = urlsplit(settings["callback_url"]).port or 0
    with logging_in(tmp_path, settings, "--no-browser") as running:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            page(sign_in(box, running.url))
            running.next()
            redirect = urlsplit(sign_in(box, running.url))
            connection.sendall(f"GET {redirect.path}?{redirect.query} HTTP/1.1\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.0 200 ")
        assert running.finish().returncode == 0
    assert [grant.tenant for grant in box.identity.grants] == ["A", "B"]


def test_settings_come_from_the_environment_too(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path
) -> None:
    environment = {f"TAP_ACUMATICA_{name.upper()}": str(value) for name, value in settings.items()}
    with logging_in(tmp_path, {}, "--no-browser", "--config=ENV", **environment) as running:
        page(sign_in(box, running.url))
        assert_signed_in(box, settings, running.finish())


def failing(tmp_path: Path, settings: dict[str, Any], *options: str) -> str:
    """The last line of a login that fails before it starts."""
    config = write_json(tmp_path / "c.json", settings)
    finished = run_command("login", "--config", config, "--no-browser", *options)
    assert finished.returncode in {75, 78}
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr
    return last_line(finished)


@pytest.mark.parametrize(
    ("change", "tenant", "words"),
    [
        ({"auth_method": "basic", "username": "u", "password": "p"}, None, "has no login"),
        ({"token_file": None, "username": "u", "password": "p"}, None, "token_file is missing"),
        ({}, "Nowhere", "--tenant names Nowhere, which is not among the tenants"),
    ],
)
def test_settings_that_are_not_for_a_login_are_refused(
    settings: dict[str, Any], change: dict[str, Any], tenant: str | None, words: str
) -> None:
    changed = {name: value for name, value in {**settings, **change}.items() if value is not None}
    with in_this_process():
        tap = TapAcumatica(config=changed, setup_mapper=False)
    with pytest.raises(SettingsError, match=words):
        login(tap.run.settings.account, tap.run.settings.client, tenant)


def test_settings_that_cannot_work_end_in_one_sentence(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    assert "The setting client_secret must not be empty" in failing(
        tmp_path, {**settings, "client_secret": ""}
    )


def test_a_port_that_is_taken_is_named(settings: dict[str, Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", urlsplit(settings["callback_url"]).port or 0)):
        sentence = failing(tmp_path, settings)
    assert sentence.endswith("application (SM303010).")
    assert settings["callback_url"] in sentence


def test_a_site_that_fails_is_named_before_anybody_is_asked(
    box: Sandbox, settings: dict[str, Any], tmp_path: Path
) -> None:
    box.close()
    box.faults.add(Fault("hang"))
    assert "No connection to the server" in failing(tmp_path, {**settings, "max_retry_time": 0})


# The parts of a login


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_acumatica.login.callback.sys.stdin", None)
    with (
        receive_callbacks("https://elsewhere.example/callback") as callbacks,
        pytest.raises(AcumaticaError, match=r"Nobody signed in within 10 minutes"),
    ):
        next_callback(callbacks, 0)


def test_a_port_that_may_not_be_listened_on_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tap_acumatica.login.callback.sys.stdin", None)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SettingsError, match="is not available"),
        receive_callbacks(f"http://localhost:{taken.getsockname()[1]}/callback"),
    ):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8400/callback?code=a%2Bb&state=s",
        "localhost:8400/callback?code=a%2Bb&state=s",
        "?code=a%2Bb&state=s",
        "code=a%2Bb&state=s",
    ],
)
def test_an_answer_is_found_however_it_is_pasted(url: str) -> None:
    assert Callback(url, pasted=True).parameters == {"code": "a+b", "state": "s"}


def test_the_page_shows_names_as_they_are() -> None:
    html = login_page.done("A <b>&", "https://erp")
    assert "A &lt;b&gt;&amp;" in html
    assert "prefers-color-scheme:dark" in html
    assert "http" not in html.replace("https://erp", ""), "it needs nothing from elsewhere"
    assert "<code>" not in login_page.failed("It failed.")
