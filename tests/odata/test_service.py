"""Addresses in all forms in which users have them, and the services behind them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
import requests_mock
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Fault, Sandbox
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC, INQUIRY, Address
from tap_acumatica.odata.diagnosis import NoService, read_root
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import (
    Action,
    AcumaticaError,
    DiscoveryError,
    InconsistentAnswer,
    RequestFailed,
    SettingsError,
)
from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.http.client import Client, ClientSettings
from tap_acumatica.odata.http.sessions import PoolSettings
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.odata.query import Link, Query
from tap_acumatica.odata.service import QueryLimits, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = "2026-06-01T12:00:00Z"
TERMS = "PX_Objects_CS_Terms"
DECODER = JsonDecoder(TERMS, {"TermsID": edm.TYPES["Edm.String"]})
ROWS = [{"TermsID": "30D"}, {"TermsID": "7D"}]
FIRST = Query(TERMS, ("TermsID",), orderby=("TermsID",), top=5)
# A login name is one segment of the path, with any characters.
TENANTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(stack: ExitStack, **options: Any) -> Sandbox:
    box = stack.enter_context(Sandbox(now=NOW, empty=True, **options))
    for tenant in box.tenants:
        box.insert(TERMS, ROWS, tenant)
    return box


def connect(  # noqa: PLR0913 - each is a choice of its own
    stack: ExitStack,
    box: Sandbox,
    url: str | None = None,
    tenant: str | None = None,
    *,
    password: str | None = None,
    size: int = 1,
    limits: QueryLimits | None = None,
) -> Service:
    settings = ClientSettings(timeout=5, max_retry_time=0, pool=PoolSettings(size=size))
    client = Client(settings, BasicAuth(box.username, password or box.password))
    stack.callback(client.close, box.url)
    address = Address.parse(url or f"{box.url}/t/Company/api/odata/dac")
    return Service(client, address, tenant, limits or QueryLimits())


def rows(service: Service, query: Query | Link = FIRST) -> list[dict[str, Any]]:
    return service.read(query, TERMS, DECODER.page).content.rows


# Addresses


@pytest.mark.parametrize("end", ["", "/", "//", "/$metadata", "/$metadata/"])
@pytest.mark.parametrize("site", ["https://company.acumatica.com", "https://host:8443/ERP"])
@pytest.mark.parametrize(
    ("path", "tenant", "root"),
    [
        ("/t/Company/api/odata/dac", "Company", "/t/Company/api/odata/dac/"),
        ("/T/Company/API/OData/DAC", "Company", "/t/Company/api/odata/dac/"),
        ("/t/Calipso%20LLC/api/odata/dac", "Calipso LLC", "/t/Calipso%20LLC/api/odata/dac/"),
        ("/t/Calipso LLC/api/odata/dac", "Calipso LLC", "/t/Calipso%20LLC/api/odata/dac/"),
        ("/odatav4/Company", "Company", "/odatav4/Company/"),
        ("/ODataV4/Company%20A", "Company A", "/odatav4/Company%20A/"),
        ("/ODatav4", None, "/odatav4/"),
    ],
)
def test_an_address_as_the_browser_shows_it_is_taken_apart(
    site: str, path: str, end: str, tenant: str | None, root: str
) -> None:
    address = Address.parse(site + path + end)
    assert (address.site, address.tenant) == (site, tenant)
    assert address.candidates(None) == (site + root,)


@pytest.mark.parametrize(
    "url",
    [
        "https://host",
        "https://host/",
        "https://host//",
        "  https://host/ \n",
        "https://host/$metadata",
        "https://host/$metadata/",
    ],
)
def test_a_site_alone_has_the_service_at_either_place(url: str) -> None:
    address = Address.parse(url)
    assert (address.site, address.tenant) == ("https://host", None)
    assert address.candidates("Company B") == (
        "https://host/t/Company%20B/api/odata/dac/",
        "https://host/odatav4/Company%20B/",
    )
    assert address.candidates(None) == ("https://host/odatav4/",)


@pytest.mark.parametrize("site", ["https://host", "https://host/ERP"])
@pytest.mark.parametrize("path", ["/t/Company%20A", "/T/Company A/"])
def test_an_address_may_name_a_tenant_and_no_interface(site: str, path: str) -> None:
    address = Address.parse(site + path)
    assert (address.site, address.tenant) == (site, "Company A")
    assert address.interfaces == (DAC, INQUIRY)


@pytest.mark.parametrize("site", ["https://company.acumatica.com", "https://host:8443/ERP"])
@pytest.mark.parametrize(
    ("path", "tenant", "root"),
    [
        ("/t/Company%20A/api/odata/gi", "Company A", "/t/Company%20A/api/odata/gi/"),
        ("/T/Company/API/OData/GI/$metadata", "Company", "/t/Company/api/odata/gi/"),
        ("/OData/Company", "Company", "/odata/Company/"),
        ("/odata/", None, "/odata/"),
    ],
)
def test_an_address_of_inquiries_names_its_own_interface(
    site: str, path: str, tenant: str | None, root: str
) -> None:
    address = Address.parse(site + path)
    assert (address.site, address.tenant, address.interfaces) == (site, tenant, (INQUIRY,))
    assert address.candidates(None, INQUIRY) == (site + root,)
    assert address.candidates(None) == ()


def test_the_family_that_speaks_the_version_is_asked_first() -> None:
    address = Address.parse("https://host")
    newer, older = "https://host/t/A/api/odata/gi/", "https://host/odata/A/"
    assert address.candidates("A", INQUIRY) == (newer, older)
    assert address.candidates("A", INQUIRY, ODataVersion.V4) == (newer, older)
    assert address.candidates("A", INQUIRY, ODataVersion.V3) == (older, newer)
    assert address.interfaces == (DAC, INQUIRY)


def test_an_interface_to_which_the_address_does_not_lead_is_missing(stack: ExitStack) -> None:
    box = opened(stack)
    service = connect(stack, box)
    elsewhere = Service(
        service.client, Address.parse(f"{box.url}/odatav4/Company"), None, interface=INQUIRY
    )
    with pytest.raises(DiscoveryError, match="no OData service of generic inquiries"):
        elsewhere.metadata()
    assert box.log == []


def test_a_tenant_that_is_named_overrules_the_one_in_the_address() -> None:
    address = Address.parse("https://host/t/Company/api/odata/dac")
    assert address.candidates("Other") == ("https://host/t/Other/api/odata/dac/",)


@given(TENANTS, st.sampled_from(["https://host", "https://host/{ERP}%20x"]))
def test_a_tenant_is_one_segment_and_never_encoded_twice(tenant: str, site: str) -> None:
    for root in Address.parse(site).candidates(tenant):
        path = urlsplit(root).path
        assert root.startswith(site + "/")
        assert urlsplit(root).query == urlsplit(root).fragment == ""
        assert tenant in [unquote(segment) for segment in path.split("/")]
        again = Address.parse(root)
        assert (again.site, again.tenant) == (site, tenant)
        assert again.candidates(None) == (root,)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/t/Company/api/odata/gi/Customer%20Contacts",
        "https://host/odata/Company/Customer%20Contacts",
        "https://host/t/Company/api/odata/dac/SOOrder",
        "https://host/t/Company/api/odata",
    ],
)
def test_the_address_of_what_is_below_a_service_is_refused(url: str) -> None:
    with pytest.raises(
        SettingsError, match="not the address of an OData service: give only the site"
    ):
        Address.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/Main?CompanyID=Company&ScreenId=SO301000",
        "https://host/odatav4/Company?$format=json",
        "https://host/#top",
    ],
)
def test_the_address_of_a_page_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="is the address of a page: give only the site"):
        Address.parse(url)


# Services


@pytest.mark.parametrize("path", ["", "/t/Company/api/odata/dac", "/ODataV4/Company", "/odatav4/"])
def test_rows_are_read_from_whatever_address_was_given(stack: ExitStack, path: str) -> None:
    box = opened(stack)
    assert rows(connect(stack, box, box.url + path)) == ROWS
    assert box.log[-1].status == 200


@pytest.mark.parametrize("name", ["Company B", "Müller & Söhne", "100%", "A+B", "日本"])
def test_any_login_name_of_a_tenant_reaches_it(stack: ExitStack, name: str) -> None:
    box = opened(stack, tenants=("Company", name), directory="/ERP")
    box.update(TERMS, {"TermsID": "7D"}, {"Descr": "here"}, name)
    where = Query(TERMS, filter="Descr eq 'here'")
    assert rows(connect(stack, box, box.url, name), where) == [{"TermsID": "7D"}]
    assert rows(connect(stack, box, box.url, "Company"), where) == []


def test_the_older_address_is_found_with_one_session(stack: ExitStack) -> None:
    box = opened(stack)
    box.faults.add(Fault("not_found", match="/api/odata/dac"))
    service = connect(stack, box, box.url, "Company")
    for _ in range(3):
        assert rows(service) == ROWS
    assert [request.path.split("/")[1] for request in box.log] == [
        "t",
        "odatav4",
        "odatav4",
        "odatav4",
    ]
    assert box.counters().sessions_opened == 1


def test_the_current_address_is_asked_first_and_no_other(stack: ExitStack) -> None:
    box = opened(stack)
    service = connect(stack, box, box.url, "Company")
    assert rows(service) == rows(service) == ROWS
    assert [request.path.split("/")[1] for request in box.log] == ["t", "t"]


def test_an_entity_that_is_gone_does_not_move_the_service(stack: ExitStack) -> None:
    box = opened(stack)
    service = connect(stack, box, box.url, "Company")
    box.forbid(TERMS, 404)
    with pytest.raises(RequestFailed, match=f"no {TERMS}"):
        rows(service)
    box.allow(TERMS)
    assert rows(service) == ROWS
    assert box.log[-1].path.startswith("/t/")
    box.forbid(TERMS, 404)
    with pytest.raises(RequestFailed):
        rows(service)
    assert box.log[-1].path.startswith("/t/")


def test_other_failures_do_not_lead_to_the_older_address(stack: ExitStack) -> None:
    box = opened(stack)
    service = connect(stack, box, box.url, "Company")
    box.faults.add(Fault("unavailable", times=1))
    with pytest.raises(RequestFailed):
        rows(service)
    assert box.counters().total == 1


def test_metadata_are_read_as_xml(stack: ExitStack) -> None:
    box = opened(stack)
    names = {entity.name for entity in connect(stack, box).metadata().entities()}
    assert TERMS in names
    assert box.log[-1].headers["accept"] == "application/xml"
    assert box.log[-1].raw_query == ""


@pytest.mark.parametrize("tenant", ["Nonsense", None])
def test_a_tenant_that_is_not_there_is_told_with_its_name(
    stack: ExitStack, tenant: str | None
) -> None:
    box = opened(stack, tenants=("Company", "Other"))
    expected = "tenant 'Nonsense'" if tenant else "no tenant named"
    with pytest.raises(DiscoveryError, match=expected) as raised:
        connect(stack, box, box.url, tenant).metadata()
    assert "login name" in str(raised.value)
    assert box.url in str(raised.value)


def test_metadata_that_may_not_be_read_are_told_as_such(stack: ExitStack) -> None:
    box = opened(stack)
    box.faults.add(Fault("forbidden", match="metadata"))
    with pytest.raises(NoService, match="OData4 User") as raised:
        connect(stack, box).metadata()
    assert raised.value.cause == "role missing"


@pytest.mark.parametrize("release", ["26.101.0225", None])
def test_an_interface_that_is_switched_off_is_no_unknown_tenant(
    stack: ExitStack, release: str | None
) -> None:
    box = opened(stack, odata=False, release=release)
    with pytest.raises(NoService, match="serves no OData") as raised:
        connect(stack, box).metadata()
    assert raised.value.cause == "OData switched off"
    box.quirks.odata = True
    with pytest.raises(NoService) as raised:
        connect(stack, box, box.url, "Nowhere").metadata()
    assert raised.value.cause == "unknown tenant"


@pytest.mark.parametrize(
    ("answer", "acumatica", "release"),
    [
        ({"json": {"version": {"acumaticaBuildVersion": "26.1"}, "endpoints": []}}, True, "26.1"),
        ({"json": {"version": "26.1", "endpoints": []}}, True, None),
        ({"json": {"version": {}, "endpoints": []}}, True, None),
        ({"json": []}, True, None),
        ({"json": {"other": 1}}, False, None),
        ({"json": 1}, False, None),
        ({"text": "<html></html>"}, False, None),
        ({"status_code": 404, "text": "<html></html>"}, False, None),
        ({"status_code": 401, "json": {"message": "You are not logged in."}}, True, None),
        ({"status_code": 403, "text": "<html>Forbidden</html>"}, False, None),
        ({"status_code": 403, "text": "error code: 1020"}, False, None),
        ({"exc": requests.ConnectionError}, False, None),
    ],
)
def test_the_root_of_rest_tells_whose_site_it_is(
    answer: dict[str, Any], acumatica: bool, release: str | None
) -> None:
    with requests_mock.Mocker() as server:
        server.get("https://host/entity", **answer)
        client = Client(ClientSettings(), BasicAuth("odata", "x"))
        root = read_root(client, "https://host", "owner")
    assert (root.acumatica, root.release) == (acumatica, release)


def test_a_site_of_something_else_is_told_as_such() -> None:
    with requests_mock.Mocker() as server:
        server.get(requests_mock.ANY, status_code=404, text="<html>Not found</html>")
        client = Client(ClientSettings(), BasicAuth("odata", "x"))
        with pytest.raises(NoService, match="No Acumatica answers at https://host") as raised:
            Service(client, Address.parse("https://host"), "Company").metadata()
    assert raised.value.cause == "not an Acumatica site"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time here."""
    pauses: list[float] = []
    monkeypatch.setattr(
        "backoff._sync.time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    )
    return pauses


def patient(stack: ExitStack, box: Sandbox, tenant: str | None = "Company") -> Service:
    client = Client(ClientSettings(timeout=5), BasicAuth(box.username, box.password))
    stack.callback(client.close, box.url)
    return Service(client, Address.parse(box.url), tenant)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("blocked", {"status": 404}),
        ("blocked", {"status": 403}),
        ("error", {"status": 404, "shape": "html"}),
    ],
)
def test_a_page_that_says_that_rows_are_not_there_is_asked_again(
    stack: ExitStack, waits: list[float], known: bool, kind: str, options: dict[str, Any]
) -> None:
    box = opened(stack)
    service = patient(stack, box)
    if known:
        rows(service)
    # Where the address is not known, each attempt asks both.
    both = options["status"] == 404 and not known
    box.faults.add(Fault(kind, times=6 if both else 3, **options))
    assert rows(service) == ROWS
    assert len(waits) == 3


def test_a_page_at_the_address_that_is_asked_first_does_not_make_the_other_s_words_true(
    stack: ExitStack, waits: list[float]
) -> None:
    box = opened(stack)
    box.faults.add(Fault("not_found", match="/odatav4/"))
    box.faults.add(Fault("blocked", match="/api/odata/dac", status=404, times=2))
    assert rows(patient(stack, box)) == ROWS
    assert len(waits) == 2


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("known", [True, False])
def test_a_page_that_stays_is_told_as_such_and_skips_nothing(
    stack: ExitStack, waits: list[float], known: bool, status: int
) -> None:
    box = opened(stack)
    service = patient(stack, box)
    if known:
        rows(service)
    box.faults.add(Fault("blocked", status=status))
    with pytest.raises(RequestFailed, match="not Acumatica itself") as raised:
        rows(service)
    assert raised.value.action is Action.RETRY
    assert 800 < sum(waits) <= 900


def test_an_interface_is_not_missing_because_its_site_restarts(
    stack: ExitStack, waits: list[float]
) -> None:
    box = opened(stack)
    service = patient(stack, box)
    rows(service)
    # Both addresses of the metadata and the root of REST, twice.
    box.faults.add(Fault("blocked", match=r"metadata|/entity$", status=404, times=5))
    inquiries = Service(service.client, Address.parse(box.url), "Company", interface=INQUIRY)
    assert inquiries.metadata().sets
    assert waits


def test_an_interface_is_not_missing_because_its_site_restarted(
    stack: ExitStack, waits: list[float]
) -> None:
    box = opened(stack)
    box.faults.add(Fault("blocked", match="metadata", status=404, times=2))
    assert patient(stack, box).metadata().sets
    assert waits == []


def test_a_page_that_forbids_metadata_says_nothing_about_roles(
    stack: ExitStack, waits: list[float]
) -> None:
    box = opened(stack)
    box.faults.add(Fault("blocked", match="metadata", times=2))
    assert patient(stack, box).metadata().sets
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("top", "resizable"), [(None, False), (1, False), (99, False), (100, True)]
)
def test_only_a_page_is_made_smaller(
    stack: ExitStack, waits: list[float], top: int | None, resizable: bool
) -> None:
    box = opened(stack)
    service = patient(stack, box)
    box.faults.add(Fault("timed_out", times=2))
    if resizable:
        with pytest.raises(RequestFailed) as raised:
            rows(service, replace(FIRST, top=top))
        assert raised.value.action is Action.SHRINK
    else:
        assert rows(service, replace(FIRST, top=top)) == ROWS[:top]
    assert len(waits) == 2 * (not resizable)


def test_the_release_is_asked_for_once_and_a_refusal_has_no_consequence(stack: ExitStack) -> None:
    box = opened(stack)
    service = connect(stack, box)
    assert service.release() == "26.101.0225"
    box.faults.add(Fault("unauthorized", match="/entity"))
    assert service.release() is None
    assert service.root is None
    assert rows(service) == ROWS
    assert box.counters().unauthorized == 1
    assert service.root == f"{box.url}/t/Company/api/odata/dac/"


def test_metadata_that_are_cut_off_are_read_again(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = opened(stack)
    waits: list[float] = []
    monkeypatch.setattr(
        "backoff._sync.time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    )
    client = Client(ClientSettings(timeout=5), BasicAuth(box.username, box.password))
    stack.callback(client.close, box.url)
    box.faults.add(Fault("truncated", match="metadata", times=1))
    model = Service(client, Address.parse(box.url), "Company").metadata()
    assert len(waits) == 1
    assert model.sets


def test_a_wrong_password_is_sent_once_whatever_the_number_of_tenants(stack: ExitStack) -> None:
    box = opened(stack, tenants=("A", "B", "C", "D"))
    first = connect(stack, box, box.url, "A", password="wrong", size=8)
    address = Address.parse(box.url)
    services = [first, *(Service(first.client, address, name) for name in "BCD")]
    together = threading.Barrier(8)

    def ask(number: int) -> None:
        together.wait(5)
        with pytest.raises(RequestFailed, match="check username"):
            rows(services[number % 4])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert box.counters().unauthorized == 1
    assert box.counters().total == 1


def test_a_password_that_only_one_tenant_refuses_is_sent_to_it_once(stack: ExitStack) -> None:
    box = opened(stack, tenants=("A", "B"))
    box.faults.add(Fault("unauthorized", match="/t/B/"))
    first = connect(stack, box, box.url, "A", size=8)
    rows(first)
    second = Service(first.client, Address.parse(box.url), "B")
    together = threading.Barrier(6)

    def ask(_: int) -> None:
        together.wait(5)
        with pytest.raises(AcumaticaError):
            rows(second)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(ask, range(6)))
    assert box.counters().unauthorized == 1


def test_further_parameters_go_with_every_query(stack: ExitStack) -> None:
    box = opened(stack)
    limits = QueryLimits({"branch": "A & B"})
    assert rows(connect(stack, box, limits=limits)) == ROWS
    assert box.log[-1].query["branch"] == "A & B"
    assert box.log[-1].query["$top"] == "5"


def test_columns_are_not_named_where_the_query_would_be_too_long(stack: ExitStack) -> None:
    box = opened(stack)
    assert rows(connect(stack, box, limits=QueryLimits(max_length=20))) == ROWS
    assert "$select" not in box.log[-1].query
    assert box.log[-1].query["$orderby"] == "TermsID"


# nextLinks


@pytest.mark.parametrize("style", ["absolute", "relative", "service", "token"])
@pytest.mark.parametrize("name", ["Company", "Müller & Söhne"])
def test_a_next_link_of_the_service_is_followed(stack: ExitStack, style: str, name: str) -> None:
    box = opened(stack, tenants=(name,), directory="/ERP")
    box.faults.add(Fault("next_link", style=style, size=1))
    service = connect(stack, box, box.url, name)
    link = service.read(Query(TERMS, orderby=("TermsID",)), TERMS, DECODER.page).content.next_link
    assert link is not None
    assert rows(service, Link(link)) == ROWS[1:]


@pytest.mark.parametrize(
    "link",
    [
        "http://elsewhere.example/t/Company/api/odata/dac/X?$skip=1",
        "//elsewhere.example/t/Company/api/odata/dac/X",
        "{url}/t/Other/api/odata/dac/X",
        "{url}/entity/auth/logout",
        "{url}/t/Company/api/odata/dac/../../../../entity/auth/logout",
        "{url}/t/Company/api/odata/dac/%2e%2e/%2e%2e/x",
        "../../../../entity/auth/logout",
        "/entity/auth/logout",
        "http://127.0.0.1/t/Company/api/odata/dac/X",
        "http://127.0.0.1:80/t/Company/api/odata/dac/X",
        "{url}.elsewhere.example/t/Company/api/odata/dac/X",
        "http://user@elsewhere.example/t/Company/api/odata/dac/X",
        "ftp://127.0.0.1/t/Company/api/odata/dac/X",
        # To the service document, not to rows.
        "?$skiptoken=5",
        "{url}/t/Company/api/odata/dac/",
        "",
    ],
)
def test_a_next_link_to_another_place_is_not_followed(stack: ExitStack, link: str) -> None:
    box = opened(stack)
    service = connect(stack, box)
    with pytest.raises(InconsistentAnswer, match="leads out of the service"):
        rows(service, Link(link.format(url=box.url)))
    assert box.counters().total == 0


@pytest.mark.parametrize(
    ("site", "link"),
    [
        ("http://Host.example:80", "http://host.example"),
        ("http://host.example", "http://host.example:80"),
        ("https://host.example:443/ERP", "https://host.example/ERP"),
        ("https://host.example/ERP", "https://host.example:443/ERP"),
    ],
)
def test_a_next_link_with_or_without_the_usual_port_leads_to_the_same_place(
    site: str, link: str
) -> None:
    with requests_mock.Mocker() as server:
        server.get(requests_mock.ANY, json={"value": ROWS})
        service = Service(
            Client(ClientSettings(), BasicAuth("odata", "x")), Address.parse(site), "Company"
        )
        rows(service)
        assert rows(service, Link(f"{link}/t/Company/api/odata/dac/{TERMS}?$skip=1")) == ROWS


@pytest.mark.parametrize("path", ["/T/COMPANY%20B/api/OData/DAC/", "/t/Company B/api/odata/dac/"])
def test_a_next_link_may_be_spelled_in_another_way(stack: ExitStack, path: str) -> None:
    box = opened(stack, tenants=("Company B",))
    service = connect(stack, box, box.url, "Company B")
    rows(service)
    assert rows(service, Link(f"{path}{TERMS}?$skip=1&$orderby=TermsID")) == ROWS[1:]


@pytest.mark.parametrize(
    "url",
    [
        "https://erp.example/Site",
        "https://ERP.example/site/",
        "http://erp.example:80/SITE",
        "https://erp.example:443/Site/t/Company/api/odata/gi",
        "https://somebody:secret@erp.example/Site/odatav4/Company",
    ],
)
def test_a_site_has_one_name_however_its_address_is_written(url: str) -> None:
    assert Address.parse(url).site_name == "erp.example/site"


def test_sites_beside_each_other_have_different_names() -> None:
    urls = ("https://a.b", "https://a.b:8443", "https://a.b/x", "https://a.b/y", "https://a.c/x")
    assert len({Address.parse(url).site_name for url in urls}) == len(urls)
