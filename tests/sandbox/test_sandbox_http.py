from __future__ import annotations

import gzip
import http.client
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
import requests
from support.serving import NOW, Get, getting

from sandbox import Sandbox
from sandbox.metadata import document
from sandbox.scale import full_model

if TYPE_CHECKING:
    from collections.abc import Iterator

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as box:
        yield box


@pytest.fixture
def get(box: Sandbox) -> Iterator[Get]:
    with getting(box) as get:
        yield get


@pytest.fixture(scope="module")
def shared_box() -> Iterator[Sandbox]:
    """For tests that only read."""
    with Sandbox(now=NOW, tenants=("Company", "Company B"), rows=300) as box:
        yield box


@pytest.fixture
def read(shared_box: Sandbox) -> Iterator[Get]:
    with getting(shared_box) as get:
        yield get


def auth(box: Sandbox, **more: str) -> dict[str, str]:
    return {"Authorization": box.authorization, **more}


@pytest.mark.parametrize(
    "path",
    [
        "/t/Company/api/odata/dac",
        "/T/company%20b/API/OData/DAC/",
        "/odatav4/Company",
        "/ODataV4/Company%20B/",
    ],
)
def test_each_address_family_has_a_service_document(shared_box: Sandbox, path: str) -> None:
    answer = requests.get(shared_box.url + path, headers=auth(shared_box), timeout=5)
    names = [each["name"] for each in answer.json()["value"]]
    assert "PX_Objects_SO_SOOrder" in names
    assert answer.headers["OData-Version"] == "4.0"
    assert answer.headers["Content-Type"] == "application/json; odata.metadata=minimal"
    assert answer.headers["Date"] == "Mon, 01 Jun 2026 12:00:00 GMT"


def test_a_single_tenant_may_be_left_out(box: Sandbox) -> None:
    for path in ("/odatav4/SOOrder?$top=1", "/odatav4/Company/SOOrder?$top=1"):
        assert requests.get(box.url + path, headers=auth(box), timeout=5).ok


def test_unknown_tenants_are_known_only_to_who_signs_in(shared_box: Sandbox) -> None:
    for path in ("/t/Nobody/api/odata/dac", "/odatav4/Nobody", "/anything"):
        assert requests.get(shared_box.url + path, timeout=5).status_code == 401
        answer = requests.get(shared_box.url + path, headers=auth(shared_box), timeout=5)
        assert answer.status_code == 404


def test_a_virtual_directory_stands_before_everything() -> None:
    with Sandbox(directory="ERP", empty=True) as box:
        assert box.url.endswith("/ERP")
        answer = requests.get(box.url + "/odatav4/$metadata", headers=auth(box), timeout=5)
        assert answer.status_code == 200


def test_metadata_is_xml_and_never_json(read: Get, shared_box: Sandbox) -> None:
    address = f"{shared_box.url}/odatav4/Company/$metadata"
    xml = requests.get(address, headers=auth(shared_box, Accept="application/xml"), timeout=5)
    root = ET.fromstring(xml.content)  # noqa: S314 - our own server's document
    order = root.find(f".//{EDM}EntityType[@Name='SOOrder']")
    assert order is not None
    assert [each.get("Name") for each in order.iter(f"{EDM}PropertyRef")] == [
        "OrderNbr",
        "OrderType",
    ]
    assert order.find(f"{EDM}NavigationProperty[@Name='SOLineCollection']") is not None
    paths = [each.text for each in root.iter(f"{EDM}PropertyPath")]
    assert "NoteText" in paths
    json = requests.get(address, headers=auth(shared_box, Accept="application/json"), timeout=5)
    assert json.status_code == 500
    assert json.json()["message"]
    assert read("$metadata", format="json").status_code == 500


def test_the_full_model_has_the_size_of_an_instance() -> None:
    text = document(full_model())
    root = ET.fromstring(text)  # noqa: S314 - our own document
    complex_properties = 25
    counts = {
        "EntityType": 2265,
        "Property": 42_288 + complex_properties,
        "NavigationProperty": 23_576,
        "EntitySet": 5108,
        "Singleton": 158,
        "ComplexType": 25,
        "EnumType": 1,
    }
    for tag, count in counts.items():
        assert sum(1 for _ in root.iter(EDM + tag)) == count, tag
    names = [each.get("Name") for each in root.iter(f"{EDM}EntitySet")]
    assert len(set(names)) == len(names)
    assert 19_000_000 < len(text) < 22_000_000


def test_large_answers_are_compressed_when_asked(read: Get) -> None:
    packed = read("SOOrder")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(packed.content) / 3
    assert "Content-Encoding" not in read("SOOrder/$count").headers


def test_a_request_without_cookie_opens_a_session(box: Sandbox) -> None:
    address = f"{box.url}/odatav4/Terms"
    for _ in range(3):
        answer = requests.get(address, headers=auth(box), timeout=5)
        assert answer.cookies["UserBranch"] == "16"
        assert "Locale=TimeZone=GMTE0000U&Culture=en-US" in answer.headers["Set-Cookie"]
    assert box.counters().sessions_opened == 3
    with requests.Session() as session:
        session.headers["Authorization"] = box.authorization
        for _ in range(3):
            session.get(address, timeout=5)
        assert box.counters().sessions_open == 4
        out = session.post(f"{box.url}/entity/auth/logout", data=b"", timeout=5)
        assert out.status_code == 204
    counters = box.counters()
    assert (counters.sessions_open, counters.signed_out) == (3, 1)


def test_signing_out_needs_a_content_length(box: Sandbox) -> None:
    host = box.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.putrequest("POST", "/entity/auth/logout")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()


def test_wrong_passwords_are_refused_and_counted(box: Sandbox) -> None:
    for header in ("", "Bearer x", "Basic ???", "Basic b2RhdGE6d3Jvbmc=", "Basic /zr/"):
        answer = requests.get(
            box.url + "/odatav4/Terms", headers={"Authorization": header}, timeout=5
        )
        assert answer.status_code == 401
    counters = box.counters()
    assert (counters.unauthorized, counters.sessions_opened) == (5, 0)


def test_requests_are_counted_and_logged_without_credentials(box: Sandbox, get: Get) -> None:
    get("Terms", top=1, filter="TermsID eq 'a b'")
    get("Terms/$count")
    get("$metadata")
    counters = box.counters()
    assert (counters.total, counters.data_requests, counters.metadata_requests) == (3, 1, 1)
    assert counters.counts_requests == 1
    assert counters.requests["/t/Company/api/odata/dac/Terms"] == 1
    other_process = requests.get(f"{box.url}/_control/counters", timeout=5).json()["result"]
    assert other_process == vars(counters)
    record = box.log[0]
    assert record.query == {"$top": "1", "$filter": "TermsID eq 'a b'"}
    assert record.status == 200
    assert "authorization" not in record.headers
    box.reset_counters()
    assert box.counters().total == len(box.log) == 0


def test_other_processes_act_through_control_addresses(box: Sandbox, get: Get) -> None:
    def control(action: str, **body: object) -> object:
        answer = requests.post(f"{box.url}/_control/{action}", json=body, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    control("insert", entity="Terms", rows=[{"TermsID": "N1"}, {"TermsID": "N2"}])
    control("update", entity="Terms", key={"TermsID": "N1"}, changes={"Descr": "new"})
    control("delete", entity="Terms", key={"TermsID": "N2"})
    assert control("bulk-update", entity="Terms", changes={"DayDue00": 3}) == 4
    assert control("fill", entity="SOLine", count=5) == 5
    assert control("clock", advance=60) == "2026-06-01T12:01:00+00:00"
    rows = control("rows", entity="Users")
    assert rows == get("Users").json()["value"]
    control("reset")
    assert box.counters().total == 0
    assert requests.get(f"{box.url}/_control/nonsense", timeout=5).status_code == 404
    answer = requests.post(f"{box.url}/_control/insert", json={"entity": "Nope"}, timeout=5)
    assert answer.status_code == 400


def test_the_command_serves_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--rows", "10"]
    command += ["--tenants", "Company,Company B", "--now", "2026-06-01T12:00:00Z"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - fixed
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        answer = requests.get(f"{address}/_control/counters", timeout=5)
        assert answer.json()["result"]["total"] == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_a_client_that_leaves_does_no_harm(box: Sandbox, get: Get) -> None:
    host = box.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.putrequest("GET", "/odatav4/SOLine")
    connection.endheaders()
    connection.close()
    assert get("Terms").ok


def test_bodies_are_valid_gzip(box: Sandbox) -> None:
    answer = requests.get(f"{box.url}/odatav4/SOLine", headers=auth(box), stream=True, timeout=5)
    with answer:
        assert gzip.decompress(answer.raw.read()).startswith(b'{"@odata.context"')
