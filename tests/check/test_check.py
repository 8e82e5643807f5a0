"""`tap-acumatica check` tries everything that a sync needs, and names each cause."""

from __future__ import annotations

import http.server
import io
import json
import logging
import re
import socket
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from rich.console import Console
from support.logging_in import oauth_settings
from support.running import (
    NOW,
    discover,
    in_this_process,
    run,
    run_command,
    select_all,
    settings_for,
    write_json,
)

from sandbox import Fault, Sandbox
from sandbox.deletions import TRACKED
from tap_acumatica.check import report
from tap_acumatica.check.checker import RETRY_LIMITS, Checker, Earlier
from tap_acumatica.check.findings import CAUSES, STEPS, Finding, Status
from tap_acumatica.check.probes import ClockOffsets
from tap_acumatica.odata.http.error_table import RULES
from tap_acumatica.odata.log import logger, silenced
from tap_acumatica.odata.oauth.error_table import TOKEN_RULES
from tap_acumatica.run.run import Run
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_acumatica.odata.http.error_table import Rule

SALES = "PX_Objects_SO_SOOrder"
CUSTOMERS = "PX_Objects_AR_Customer"
ACCOUNTS = "PX_Objects_GL_Account"
ANSWERS = "PX_Objects_CS_CSAnswers"
CONTACTS = "GI_Customer_Contacts"
SETUP = "PX_Objects_GL_GLSetup"
LOG = "deleted_records"
USERS = "PX_SM_Users"
FILES = "PX_SM_UploadFile"
ENTITIES = (SALES, CUSTOMERS, ACCOUNTS)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def open_box(stack: ExitStack, **options: Any) -> Sandbox:
    return stack.enter_context(Sandbox(now=NOW, rows=60, **options))


def check(
    box: Sandbox,
    settings: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
) -> list[Finding]:
    """Run a check in this process; returns the findings of all steps."""
    with in_this_process():
        tap = TapAcumatica(
            config=settings or settings_for(box, *ENTITIES, max_retry_time=0),
            catalog=catalog,
            setup_mapper=False,
            run=Run(RETRY_LIMITS),
        )
        try:
            checker = Checker(tap.run, tap.selected_plans, box.clock.now)
            return list(checker.findings())
        finally:
            tap.run.close()


def by_step(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.step: finding for finding in findings}


def causes(findings: list[Finding]) -> list[str | None]:
    return [finding.cause for finding in findings if finding.status is Status.BAD]


# Good findings


def test_all_that_a_sync_needs_is_tried(box: Sandbox) -> None:
    url = f"{box.url}/t/Company/api/odata/dac"
    steps = by_step(check(box, {**settings_for(box, *ENTITIES), "url": url}))
    assert list(steps) == [
        "Address",
        "Sign-in",
        "Release",
        "Entities",
        "Streams",
        "Rows",
        "Deletions",
        "Filters",
        "Counts",
        "Key paging",
        "Page",
        "Time zone",
        "Date filter",
        "Server time",
        "Clock",
    ]
    assert {step for step, finding in steps.items() if finding.status is not Status.GOOD} == {
        "Deletions"
    }
    assert steps["Address"].facts["family"] == "current releases"
    assert steps["Release"].text == "26.101.0225 (2026 R1)"
    assert steps["Rows"].facts["rows"] == {name: len(box.rows(name)) for name in ENTITIES}
    assert steps["Entities"].facts == {
        "entities": len(discover(settings_for(box, interfaces=["dac"], exclude_entities=[LOG])))
    }
    assert steps["Server time"].facts == {"proved": True}
    assert steps["Clock"].facts["ahead_seconds"] == 0
    assert box.counters().sessions_open == 0


def test_a_check_costs_few_requests(box: Sandbox) -> None:
    check(box)
    counters = box.counters()
    assert counters.metadata_requests == 1
    assert counters.sessions_opened == 1
    assert counters.data_requests <= 2 * len(ENTITIES) + 12


def test_with_a_catalog_its_selected_streams_are_checked(box: Sandbox) -> None:
    streams = discover(settings_for(box, *ENTITIES))
    catalog = select_all(streams)
    streams[SALES]["metadata"][0]["metadata"]["selected"] = False
    box.forbid(SALES)
    steps = by_step(check(box, settings_for(box), catalog))
    assert steps["Streams"].facts == {"selected": 2, "refused": {}, "refused_in_part": {}}


def test_singletons_and_sets_without_key_can_be_read_but_prove_nothing(box: Sandbox) -> None:
    steps = by_step(check(box, settings_for(box, SETUP, ANSWERS)))
    assert steps["Streams"].facts["selected"] == 2
    assert "Filters" not in steps
    assert "Server time" not in steps
    assert causes(list(steps.values())) == []


def test_empty_tables_can_be_read_but_prove_nothing(stack: ExitStack) -> None:
    steps = by_step(check(open_box(stack, empty=True)))
    assert steps["Streams"].status is Status.GOOD
    assert "Key paging" not in steps


def test_the_older_address_is_told(box: Sandbox) -> None:
    settings = {**settings_for(box, *ENTITIES), "url": f"{box.url}/odatav4/Company"}
    assert by_step(check(box, settings))["Address"].facts["family"] == "releases before 2024 R2"


def test_a_release_that_is_not_told_is_no_obstacle(box: Sandbox) -> None:
    box.quirks.release = None
    steps = by_step(check(box))
    assert steps["Release"].status is Status.GOOD
    assert steps["Release"].facts == {"release": None}


# Findings worth knowing


def test_a_stream_that_may_not_be_read_is_named(box: Sandbox) -> None:
    box.forbid(SALES)
    steps = by_step(check(box))
    assert steps["Streams"].status is Status.NOTE
    assert SALES in steps["Streams"].text
    assert steps["Streams"].facts["refused"] == {SALES: "no rights"}


def test_a_column_that_is_refused_is_worth_knowing_and_no_obstacle(box: Sandbox) -> None:
    message = "Filter on 'CreditLimit' is not allowed because it is a virtual field"
    box.faults.add(Fault("error", match="AR_Customer.*CreditLimit", message=message))
    steps = by_step(check(box))
    assert steps["Streams"].status is Status.NOTE
    assert list(steps["Streams"].facts["refused_in_part"]) == [CUSTOMERS]
    assert causes(list(steps.values())) == []


def test_many_names_are_cut_short(box: Sandbox) -> None:
    names = [name for name in discover(settings_for(box)) if name.startswith("PX_Objects_")]
    for name in names:
        box.forbid(name)
    steps = by_step(check(box, settings_for(box, *names, "PX_SM_Users", max_retry_time=0)))
    assert steps["Streams"].text.count("PX_") == 5
    assert len(steps["Streams"].facts["refused"]) == len(names)


@pytest.mark.parametrize(
    ("shown", "zone", "status", "words"),
    [
        ("offset", None, Status.NOTE, "values carry their own offset"),
        ("naive", "UTC", Status.NOTE, "set time_zone to America/New_York"),
        ("naive", "America/New_York", Status.GOOD, "fits time_zone America/New_York"),
    ],
)
def test_the_accounts_zone_is_compared_with_time_zone(
    stack: ExitStack, shown: Any, zone: str | None, status: Status, words: str
) -> None:
    box = open_box(stack, time_zone="GMTM0500G", shown=shown)
    settings = settings_for(box, *ENTITIES, **({"time_zone": zone} if zone else {}))
    steps = by_step(check(box, settings))
    assert (steps["Time zone"].status, words in steps["Time zone"].text) == (status, True)
    assert steps["Time zone"].facts["account"] == "UTC-04:00", "with daylight saving"
    assert steps["Time zone"].facts["zone"] == "America/New_York"


def test_a_zone_that_fits_for_half_of_the_year_does_not_fit() -> None:
    with Sandbox(now="2026-01-15T12:00:00Z", rows=30, time_zone="GMTE0000K") as box:
        finding = by_step(check(box, settings_for(box, *ENTITIES)))["Time zone"]
    assert (finding.status, finding.facts["zone"]) == (Status.NOTE, "Europe/London")


# Deletions


RETIRES = {"emit_activate_version_messages": True}


def roads(box: Sandbox, **settings: Any) -> dict[str, Any]:
    """The roads by which deletions of each stream can be seen."""
    names = settings.pop("entities", ENTITIES)
    steps = by_step(check(box, settings_for(box, *names, **settings)))
    found: dict[str, Any] = steps["Deletions"].facts["roads"]
    return found


def test_the_road_of_deletions_is_told_for_each_stream(box: Sandbox) -> None:
    box.track(CUSTOMERS)
    assert roads(box) == {CUSTOMERS: ["tracked since 2026-06-01"], ACCOUNTS: [], SALES: []}
    hours = {"*": 168, "SOOrder": 24, "px_objects_so_*": 1}
    assert roads(box, full_read_interval=hours, **RETIRES) == {
        CUSTOMERS: ["tracked since 2026-06-01", "full read every 168 h"],
        ACCOUNTS: ["full read every 168 h"],
        SALES: ["full read every 24 h"],
    }


def test_the_line_about_deletions_says_what_to_do(box: Sandbox) -> None:
    box.track(CUSTOMERS)
    finding = by_step(check(box))["Deletions"]
    assert finding.status is Status.NOTE
    assert finding.text.endswith("; select deleted_records to read what is tracked")
    settings = settings_for(box, *ENTITIES, LOG, full_read_interval=0, **RETIRES)
    steps = by_step(check(box, settings))
    assert steps["Streams"].text == "4 selected, all can be read"
    assert steps["Deletions"].status is Status.GOOD
    assert steps["Deletions"].text == (
        f"tracked since 2026-06-01 and full read in each run: {CUSTOMERS}; "
        f"full read in each run: {ACCOUNTS}, {SALES}"
    )


@pytest.mark.parametrize(
    ("settings", "open_for"),
    [
        ({"full_read_interval": 24}, set()),
        ({"full_read_interval": {"Customer": 24}, **RETIRES}, {CUSTOMERS, USERS}),
        ({"full_read_interval": 24, **RETIRES}, {CUSTOMERS, USERS}),
        (RETIRES, {USERS}),
        ({"full_read_interval": 24, "include_archived": False, **RETIRES}, set()),
        ({"full_read_interval": 24, "start_date": "2020-01-01", **RETIRES}, {USERS}),
    ],
)
def test_full_reads_retire_rows_only_as_the_settings_let_them(
    box: Sandbox, settings: dict[str, Any], open_for: set[str]
) -> None:
    box.allow(USERS)
    found = roads(box, entities=[CUSTOMERS, USERS, FILES], **settings)
    assert {name for name, ways in found.items() if ways} == open_for


@pytest.mark.parametrize("status", [403, 404])
def test_a_list_that_is_refused_is_not_mentioned(box: Sandbox, status: int) -> None:
    box.track(CUSTOMERS)
    box.forbid(TRACKED, status)
    assert roads(box) == {CUSTOMERS: [], ACCOUNTS: [], SALES: []}
    box.hide(TRACKED)
    box.reset_counters()
    assert roads(box) == {CUSTOMERS: [], ACCOUNTS: [], SALES: []}
    assert not [request for request in box.log if "Deleted" in request.path]


def test_a_log_that_tells_nothing_is_a_stream_that_is_skipped(box: Sandbox) -> None:
    box.forbid(TRACKED)
    steps = by_step(check(box, settings_for(box, *ENTITIES, LOG)))
    assert steps["Streams"].facts["refused"].keys() == {LOG}


def test_a_stream_that_the_next_run_misses_is_no_sync_that_works(box: Sandbox) -> None:
    config = settings_for(box, *ENTITIES)
    state = run(config).state
    box.forbid(SALES)
    with in_this_process():
        tap = TapAcumatica(config=config, setup_mapper=False)
    try:
        for bookmarks, status in (({}, Status.NOTE), (state["bookmarks"], Status.BAD)):
            earlier = Earlier(bookmarks=bookmarks)
            checker = Checker(tap.run, tap.selected_plans, box.clock.now, earlier)
            assert by_step(list(checker.findings()))["Streams"].status == status
    finally:
        tap.run.close()


def test_an_address_is_told_before_a_selection_that_cannot_be_read(box: Sandbox) -> None:
    findings = check(box, settings_for(box, *ENTITIES), catalog={"streams": []})
    steps = [finding.step for finding in findings]
    assert steps.index("Address") < steps.index("Streams")


def test_a_zone_that_is_not_told_is_assumed(box: Sandbox) -> None:
    box.quirks.locale = None
    steps = by_step(check(box))
    assert steps["Time zone"].status is Status.NOTE
    assert steps["Server time"].status is Status.NOTE


def test_clocks_of_several_servers_are_told_apart(box: Sandbox) -> None:
    box.quirks.skew = (0, 30, 0, -15)
    steps = by_step(check(box))
    assert steps["Clock"].facts["skew_seconds"] == 44, "the least that whole seconds can prove"
    assert steps["Clock"].status is Status.GOOD
    settings = settings_for(box, *ENTITIES, time_offset=40)
    assert "raise time_offset" in by_step(check(box, settings))["Clock"].text


def test_a_server_that_does_not_count_is_worth_knowing(box: Sandbox) -> None:
    box.faults.add(Fault("ignore_count"))
    assert by_step(check(box))["Counts"].status is Status.NOTE
    settings = settings_for(box, *ENTITIES, verify_counts=True)
    assert causes(check(box, settings)) == ["inconsistent answer"]


def test_paging_by_key_that_does_not_work_is_told(box: Sandbox) -> None:
    box.faults.add(Fault("error", match=" ge '", message="syntax error at position 4"))
    assert by_step(check(box))["Key paging"].status is Status.NOTE


def test_pages_that_do_not_come_by_key_are_told(box: Sandbox) -> None:
    box.faults.add(Fault("empty_page", match=r"AcctCD&\$top=5$"))
    assert by_step(check(box))["Key paging"].status is Status.NOTE


@pytest.mark.parametrize(
    ("match", "step"),
    [(" ge '", "Key paging"), (r"\$top=2000", "Page"), (r" eq .*\$top=2$", "Filters")],
)
def test_what_fails_on_the_way_is_told_at_its_step(box: Sandbox, match: str, step: str) -> None:
    box.faults.add(Fault("unavailable", match=match, times=1))
    steps = by_step(check(box))
    assert (steps[step].status, steps[step].cause) == (Status.BAD, "maintenance")
    assert steps["Clock"].status is Status.GOOD, "and the check goes on"


def test_without_a_clock_the_server_is_still_checked(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_acumatica.odata.http.client.http_date", lambda _: None)
    assert by_step(check(box))["Clock"].status is Status.NOTE


def test_a_filter_that_is_ignored_is_an_obstacle(box: Sandbox) -> None:
    box.faults.add(Fault("ignore_filter", match=" eq "))
    assert "filters" in causes(check(box))


# A check ends as a sync does


Change = dict[str, Any]


def as_atom(_: Sandbox) -> Change:
    return {"data_format": "atom"}


def formula_as_replication_key(_: Sandbox) -> Change:
    return {"entities": ["GI_Formula*"]}


def formula_beside_an_entity(_: Sandbox) -> Change:
    return {"entities": ["GI_Formula*", CUSTOMERS]}


def broken_inquiry(box: Sandbox) -> Change:
    box.inquiries.add(replace(box.inquiries.known["customer contacts"], title="Bad", broken=True))
    return {"entities": ["GI_Bad", CONTACTS]}


def nothing_at_all(box: Sandbox) -> Change:
    box.faults.add(Fault("empty_body", match=SALES))
    return {"entities": list(ENTITIES)}


def virtual_replication_key(box: Sandbox) -> Change:
    message = "Filter on 'LastModifiedDateTime' is not allowed because it is a virtual field"
    box.faults.add(Fault("error", match=SALES, message=message))
    return {"entities": list(ENTITIES)}


def keys_that_are_none(_: Sandbox) -> Change:
    journal = "GI_GL_Journal"
    return {"entities": [journal], "inquiry_keys": {journal: ["Module"]}}


def parameters_not_given(_: Sandbox) -> Change:
    return {"entities": ["GI_DB_StorageDetails", CUSTOMERS]}


def order_ignored(box: Sandbox) -> Change:
    box.faults.add(Fault("ignore_order"))
    return {}


def filter_ignored(box: Sandbox) -> Change:
    box.faults.add(Fault("ignore_filter"))
    return {}


def order_ignored_for_a_later_entity(box: Sandbox) -> Change:
    box.faults.add(Fault("ignore_order", match=SALES))
    return {"entities": list(ENTITIES)}


def filter_ignored_for_a_later_entity(box: Sandbox) -> Change:
    box.faults.add(Fault("ignore_filter", match=SALES))
    return {"entities": list(ENTITIES), "page_size": 10}


def links_elsewhere(box: Sandbox) -> Change:
    box.faults.add(Fault("next_link", match=SALES, size=7, style="foreign"))
    return {"entities": list(ENTITIES), "client_side_paging": False}


@pytest.mark.parametrize("path", ["", "/odata/Company"])
@pytest.mark.parametrize(
    ("provoke", "works"),
    [
        (as_atom, True),
        (formula_as_replication_key, True),
        (broken_inquiry, False),
        (keys_that_are_none, False),
        (order_ignored, False),
        (filter_ignored, False),
    ],
)
def test_a_check_of_inquiries_ends_as_a_sync_does(
    box: Sandbox, provoke: Callable[[Sandbox], Change], works: bool, path: str
) -> None:
    settings = settings_for(box, CONTACTS, interfaces=["gi"], max_retry_time=0)
    settings |= {"url": box.url + path, **provoke(box)}
    findings = check(box, settings)
    assert (not causes(findings), run(settings).error is None) == (works, works)
    assert by_step(findings)["Clock"].status is Status.GOOD, "and the check goes on"


@pytest.mark.parametrize(
    ("provoke", "works"),
    [
        (formula_beside_an_entity, True),
        (nothing_at_all, False),
        (virtual_replication_key, False),
        (parameters_not_given, False),
        (order_ignored_for_a_later_entity, False),
        (filter_ignored_for_a_later_entity, False),
        (links_elsewhere, False),
    ],
)
def test_a_check_of_several_streams_ends_as_a_sync_does(
    box: Sandbox, provoke: Callable[[Sandbox], Change], works: bool
) -> None:
    settings = settings_for(box, max_retry_time=0) | provoke(box)
    findings = check(box, settings)
    assert (not causes(findings), run(settings).error is None) == (works, works)


# Bad findings


@contextmanager
def other_site() -> Iterator[str]:
    """A site that is not Acumatica: it sends the same page for every request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "13")
            self.end_headers()
            self.wfile.write(b"<html></html>")

        def do_CONNECT(self) -> None:
            self.send_error(407)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as declared
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def wrong_password(_: Sandbox, __: ExitStack) -> Change:
    return {"password": "n0t-this"}


def account_locked(box: Sandbox, _: ExitStack) -> Change:
    for _attempt in range(5):
        box.app.account.admits(f"{box.username}:wrong", 5)
    return {}


def unknown_tenant(box: Sandbox, _: ExitStack) -> Change:
    return {"url": f"{box.url}/t/Nowhere/api/odata/dac"}


def role_missing(box: Sandbox, _: ExitStack) -> Change:
    box.faults.add(Fault("forbidden", match="/dac|/odatav4"))
    return {}


def no_rights_at_all(box: Sandbox, _: ExitStack) -> Change:
    for entity in ENTITIES:
        box.forbid(entity)
    return {}


def odata_off(box: Sandbox, _: ExitStack) -> Change:
    box.quirks.odata = False
    return {}


def login_limit(box: Sandbox, _: ExitStack) -> Change:
    box.quirks.max_sessions = 0
    return {}


def licence_limit(box: Sandbox, _: ExitStack) -> Change:
    box.quirks.requests_per_minute = 0
    return {}


def licence_limit_in_the_middle(box: Sandbox, _: ExitStack) -> Change:
    box.quirks.requests_per_minute = 4
    return {}


def maintenance(box: Sandbox, _: ExitStack) -> Change:
    box.quirks.maintenance = True
    return {}


def another_site(_: Sandbox, stack: ExitStack) -> Change:
    return {"url": stack.enter_context(other_site())}


def foreign_certificate(_: Sandbox, stack: ExitStack) -> Change:
    return {"url": stack.enter_context(Sandbox(now=NOW, empty=True, tls=True)).url}


def no_such_host(_: Sandbox, stack: ExitStack) -> Change:
    patch = stack.enter_context(pytest.MonkeyPatch.context())

    def unresolved(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    patch.setattr("socket.getaddrinfo", unresolved)
    return {"url": "https://erp.invalid"}


def proxy_at(address: str, stack: ExitStack) -> None:
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        patch.delenv(name, raising=False)
    patch.setenv("HTTPS_PROXY", address)


def no_such_proxy(box: Sandbox, stack: ExitStack) -> Change:
    proxy_at("http://proxy.invalid:3128", stack)
    return no_such_host(box, stack)


def proxy_refuses(_: Sandbox, stack: ExitStack) -> Change:
    proxy_at(stack.enter_context(other_site()), stack)
    return {"url": "https://erp.invalid"}


def no_certificates(box: Sandbox, stack: ExitStack) -> Change:
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    return foreign_certificate(box, stack)


def nobody_listens(_: Sandbox, __: ExitStack) -> Change:
    with Sandbox(empty=True) as gone:
        return {"url": gone.url}


def wrong_zone(box: Sandbox, _: ExitStack) -> Change:
    box.quirks.time_zone, box.quirks.shown = "GMTM0500G", "wall_z"
    return {}


def nothing_fits(_: Sandbox, __: ExitStack) -> Change:
    return {"entities": ["Nothing"]}


@pytest.mark.parametrize(
    ("provoke", "cause"),
    [
        (no_such_host, "host not found"),
        (nobody_listens, "no connection"),
        (no_such_proxy, "proxy"),
        (proxy_refuses, "proxy"),
        (no_certificates, "no certificates"),
        (foreign_certificate, "TLS failure"),
        (another_site, "not an Acumatica site"),
        (wrong_password, "wrong password"),
        (account_locked, "account locked"),
        (unknown_tenant, "unknown tenant"),
        (role_missing, "role missing"),
        (no_rights_at_all, "role missing"),
        (odata_off, "OData switched off"),
        (login_limit, "API login limit"),
        (licence_limit, "licence limit"),
        (licence_limit_in_the_middle, "licence limit"),
        (maintenance, "maintenance"),
        (wrong_zone, "settings"),
        (nothing_fits, "settings"),
    ],
)
def test_each_cause_is_named_with_a_sentence_of_its_own(
    stack: ExitStack, provoke: Callable[[Sandbox, ExitStack], Change], cause: str
) -> None:
    box = open_box(stack)
    settings = {**settings_for(box, *ENTITIES, max_retry_time=0), **provoke(box, stack)}
    findings = check(box, settings)
    assert causes(findings) == [cause]
    (bad,) = [finding for finding in findings if finding.status is Status.BAD]
    assert re.search(r": .+|; .+", bad.text), "what to do"
    assert box.counters().unauthorized == (cause == "wrong password")
    assert box.counters().sessions_open == 0


def test_a_certificate_of_a_private_authority_is_accepted_with_its_bundle() -> None:
    with Sandbox(now=NOW, rows=60, tls=True) as box:
        settings = settings_for(box, *ENTITIES, ca_bundle=box.bundle)
        assert causes(check(box, settings)) == []


def test_each_tenant_is_checked_and_a_bad_one_does_not_hide_the_others(stack: ExitStack) -> None:
    box = open_box(stack, tenants=("A", "B"))
    settings = settings_for(box, *ENTITIES, tenants=["A", "Nowhere", "B"], max_retry_time=0)
    findings = check(box, settings)
    assert causes(findings) == ["unknown tenant"]
    assert [
        finding.tenant for finding in findings if finding.step in {"Server time", "Tenant"}
    ] == [
        "A",
        "Nowhere",
        "B",
    ]


# OAuth


def by_token(box: Sandbox, **changes: Any) -> dict[str, Any]:
    return oauth_settings(box, entities=list(ENTITIES), **changes)


def by_password(box: Sandbox, **changes: Any) -> dict[str, Any]:
    return by_token(box, username=box.username, password=box.password, **changes)


def test_a_sign_in_by_a_token_is_that_of_the_application(box: Sandbox, tmp_path: Path) -> None:
    refresh_token, file = box.grant().refresh_token, tmp_path / "tokens.json"
    settings = by_token(box, refresh_token=refresh_token, token_file=str(file))
    steps = by_step(check(box, settings))
    assert steps["Sign-in"].text == f"accepted, as the application {box.client_id}"
    assert causes(list(steps.values())) == []


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"password": "n0t-this", "username": "odata"}, "wrong password"),
        (
            {"client_secret": "n0t-this", "username": "odata", "password": "x"},
            "application refused",
        ),
        ({"refresh_token": "dead"}, "refresh token refused"),
        ({}, "not signed in"),
    ],
)
def test_what_keeps_from_a_token_is_told_at_the_sign_in(
    box: Sandbox, tmp_path: Path, changes: dict[str, Any], cause: str
) -> None:
    file = {} if "username" in changes else {"token_file": str(tmp_path / "tokens.json")}
    settings = {**by_token(box, **file), **changes}
    findings = check(box, settings)
    assert [(finding.step, finding.cause) for finding in findings] == [("Sign-in", cause)]


@pytest.mark.parametrize("rule", TOKEN_RULES)
def test_each_failure_of_the_identity_server_has_a_step(rule: Rule) -> None:
    cause = CAUSES.get(rule.cause, rule.cause)
    in_a_check = rule not in RULES and cause != "code refused"
    assert not in_a_check or STEPS[cause] == "Sign-in"


def test_a_scope_without_api_is_named_beside_the_role(box: Sandbox) -> None:
    url = f"{box.url}/t/Company/api/odata/dac"
    (finding,) = check(box, by_password(box, url=url, scope="openid"))
    assert finding.cause == "role missing"
    assert "scope must also contain api" in finding.text


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("unavailable", match="connect/token"), "identity server error"),
        (
            Fault("error", match="connect/token", status=400, message="API Login Limit"),
            "API login limit",
        ),
    ],
)
def test_a_check_waits_seconds_at_most_for_a_token(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: Fault, cause: str
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waits.append)
    box.faults.add(fault)
    assert causes(check(box, by_password(box, max_retry_time=900))) == [cause]
    assert 0 < sum(waits) <= 10


def test_a_check_waits_seconds_at_most(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("backoff._sync.time.sleep", waits.append)
    box.faults.add(Fault("throttle", match="metadata"))
    assert causes(check(box, settings_for(box, max_retry_time=900))) == ["licence limit"]
    assert 0 < sum(waits) <= 10


# The output


FINDINGS = [
    Finding("Address", Status.GOOD, "answers", "A"),
    Finding("Server time", Status.NOTE, "not proved yet", "A"),
    Finding("Sign-in", Status.BAD, "refused: correct the password", "B", "wrong password"),
]


def output_of(findings: list[Finding], **console: Any) -> str:
    stream = io.StringIO()
    report.show(findings, Console(file=stream, highlight=False, width=60, **console))
    return stream.getvalue()


def test_a_step_is_a_line_and_the_verdict_is_the_last() -> None:
    lines = output_of(FINDINGS).splitlines()
    assert [line.rstrip() for line in lines if line.strip()] == [
        "Tenant A",
        "✓  Address      answers",
        "!  Server time  not proved yet",
        "Tenant B",
        "✗  Sign-in      refused: correct the password",
        "A sync would not work.",
    ]


def test_a_terminal_gets_colour_and_a_pipe_none() -> None:
    assert "\x1b[32m" in output_of(FINDINGS, force_terminal=True, color_system="standard")
    assert "\x1b" not in output_of(FINDINGS)


def test_as_json_a_check_is_one_object() -> None:
    text, findings = report.as_json(FINDINGS)
    content = json.loads(text)
    assert findings == FINDINGS
    assert (content["works"], content["causes"]) == (False, ["wrong password"])
    assert content["steps"][2]["tenant"] == "B"
    assert json.loads(report.as_json(FINDINGS[:2])[0])["works"]


def test_words_of_a_server_steer_no_terminal_and_are_no_markup() -> None:
    words = [Finding("Streams", Status.BAD, "\x1b[2JFilter [/b]\n✓ Rights")]
    stream = io.StringIO()
    report.show(words, Console(file=stream))
    assert r"\x1b[2JFilter [/b]\n✓ Rights" in stream.getvalue()
    assert r"\x1b[2J" in json.loads(report.as_json(words)[0])["steps"][0]["text"]


def test_only_a_bad_step_fails_the_command() -> None:
    report.require_good(FINDINGS[:2])
    with pytest.raises(report.CheckFailed, match=r"\(wrong password\)"):
        report.require_good(FINDINGS)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.4, "1 s ahead of"),
        (-90, "90 s behind"),
        (600, "10 min"),
        (7300, "2 h"),
        (9e6, "104 days"),
    ],
)
def test_a_difference_of_clocks_is_told_in_the_unit_that_suits_it(
    box: Sandbox, seconds: float, words: str
) -> None:
    now = datetime.fromisoformat(NOW) - timedelta(seconds=seconds)
    with in_this_process():
        tap = TapAcumatica(config=settings_for(box, ACCOUNTS), setup_mapper=False)
        steps = by_step(list(Checker(tap.run, tap.selected_plans, lambda: now).findings()))
        tap.run.close()
    assert words in steps["Clock"].text


def test_a_server_without_a_clock_is_told() -> None:
    clocks = ClockOffsets(lambda: datetime.now(UTC))
    clocks.add(None)
    assert (clocks.count, clocks.ahead, clocks.skew) == (0, None, timedelta(0))


def test_nothing_is_logged_unless_the_user_wants_to_hear_it() -> None:
    level = logger.level
    with silenced() as restore:
        assert logger.level == logging.CRITICAL
        restore(1)
        assert logger.level == logging.CRITICAL
        restore(2)
        assert logger.level == level
    assert logger.level == level


# The command


def command(tmp_path: Path, settings: dict[str, Any], *arguments: str) -> Any:
    config = write_json(tmp_path / "c.json", settings)
    with in_this_process():
        return CliRunner().invoke(TapAcumatica.cli, ["check", "--config", config, *arguments])


def test_the_command_ends_well_only_if_a_sync_would_work(
    box: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = command(tmp_path, settings_for(box, *ENTITIES))
    assert result.exit_code == 0, result.output
    assert result.stdout.strip().endswith("A sync would work.")
    result = command(tmp_path, settings_for(box, *ENTITIES, password="n0t-this"))
    assert result.exit_code == 1
    assert "✗  Sign-in" in result.stdout
    assert caplog.messages[-1].startswith("A sync would not work (wrong password)")
    assert box.counters().unauthorized == 1


def test_the_command_takes_a_catalog_and_prints_json(box: Sandbox, tmp_path: Path) -> None:
    catalog = write_json(tmp_path / "k.json", select_all(discover(settings_for(box, SALES))))
    result = command(tmp_path, settings_for(box), "--catalog", catalog, "--format", "json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["works"]
    facts = {step["step"]: step["facts"] for step in content["steps"]}
    assert facts["Streams"]["selected"] == 1


def test_without_a_selection_the_command_says_how_to_select(box: Sandbox, tmp_path: Path) -> None:
    result = command(tmp_path, settings_for(box))
    assert result.exit_code == 1
    assert "No stream is selected" in result.stdout


def test_wrong_settings_are_a_step_too(box: Sandbox, tmp_path: Path) -> None:
    result = command(tmp_path, settings_for(box, page_size="many"), "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["causes"] == ["settings"]


@pytest.mark.parametrize("content", [None, "{cut off"])
def test_settings_that_cannot_be_read_are_a_step_too(tmp_path: Path, content: str | None) -> None:
    config = tmp_path / "c.json"
    if content is not None:
        config.write_text(content, encoding="utf-8")
    arguments = ["check", "--config", str(config), "--format", "json"]
    result = CliRunner().invoke(TapAcumatica.cli, arguments)
    assert result.exit_code == 1
    (step,) = json.loads(result.stdout)["steps"]
    assert (step["step"], step["status"], str(config) in step["text"]) == ("Settings", "bad", True)


def test_the_command_is_found_beside_the_singer_command(box: Sandbox, tmp_path: Path) -> None:
    config = write_json(tmp_path / "c.json", settings_for(box, *ENTITIES, verbosity=2))
    finished = run_command("check", "--config", config)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip().endswith("A sync would work.")
    assert "GET " in finished.stderr
    assert box.password not in finished.stderr + finished.stdout


# The page


PAGE = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_is_what_a_check_prints(box: Sandbox) -> None:
    box.forbid("PX_SM_Users")
    url = f"{box.url}/t/Company/api/odata/dac"
    settings = {**settings_for(box, *ENTITIES, "PX_SM_Users"), "url": url}
    stream = io.StringIO()
    report.show(check(box, settings), Console(file=stream, highlight=False, width=200))
    printed = stream.getvalue().replace(box.url, "https://company.acumatica.com")
    printed = re.sub(r"\d+\.\d s$", "0.1 s", printed, flags=re.MULTILINE)
    (example,) = re.findall(r"```text\n(✓.*?)```", PAGE, re.DOTALL)
    assert printed.strip() == example.strip()


def test_the_page_lists_the_causes_and_their_steps() -> None:
    rows = re.findall(r"^\| ([\w ]+) \| ([A-Z][\w, -]+) \| .+ \|$", PAGE, re.MULTILINE)
    documented = {cause: steps.split(", ")[0] for cause, steps in rows}
    assert documented == {cause.value: step for cause, step in STEPS.items()} | {
        "maintenance": "Answer"
    }
