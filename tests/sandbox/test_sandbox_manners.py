"""What the sandbox allows: passwords, sessions, requests a minute; and what is switched off."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
import requests
from support.serving import NOW, Get, getting

from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMS = "PX_Objects_CS_Terms"
ORDER = "PX_Objects_SO_SOOrder"
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, tenants=("Company", "B"), rows=50) as box:
        yield box


@pytest.fixture
def get(box: Sandbox) -> Iterator[Get]:
    with getting(box) as get:
        yield get


def asked(box: Sandbox, password: str, username: str | None = None) -> requests.Response:
    address = f"{box.url}/t/Company/api/odata/dac/{TERMS}"
    sign_in = b64encode(f"{username or box.username}:{password}".encode()).decode()
    return requests.get(address, headers={"Authorization": f"Basic {sign_in}"}, timeout=10)


def test_five_wrong_passwords_in_a_row_lock_the_account(box: Sandbox) -> None:
    for _ in range(4):
        assert asked(box, "wrong").status_code == 401
    assert asked(box, box.password).status_code == 200, "and start the count anew"
    for _ in range(5):
        assert asked(box, "wrong").status_code == 401
    refused = asked(box, box.password)
    assert refused.status_code == 500
    assert "locked out" in refused.json()["message"]
    box.unlock()
    assert asked(box, box.password).status_code == 200


def test_wrong_passwords_of_nobody_lock_nobody(box: Sandbox) -> None:
    for _ in range(9):
        assert asked(box, "wrong", "nobody").status_code == 401
    assert asked(box, box.password).status_code == 200


def test_requests_are_delayed_from_half_the_limit_on_and_declined_past_it(
    box: Sandbox, get: Get
) -> None:
    box.quirks.requests_per_minute = 6
    assert [get(TERMS).status_code for _ in range(8)] == [200] * 6 + [429] * 2
    assert box.counters().delayed == 3
    box.clock.advance(60)
    assert get(TERMS).status_code == 200


def test_a_site_under_maintenance_answers_a_page(box: Sandbox, get: Get) -> None:
    box.quirks.maintenance = True
    answer = get("")
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "maintenance" in answer.text


def test_where_odata_is_switched_off_the_web_server_knows_no_such_page(
    box: Sandbox, get: Get
) -> None:
    box.quirks.odata = False
    answer = get("$metadata")
    assert answer.status_code == 404
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("release", ["26.101.0225", None])
def test_the_release_is_told_where_it_is_not_old(box: Sandbox, release: str | None) -> None:
    box.quirks.release = release
    headers = {"Authorization": box.authorization}
    content = requests.get(f"{box.url}/entity", headers=headers, timeout=10).json()
    if release:
        assert content["version"]["acumaticaBuildVersion"] == release
    else:
        assert content[0]["name"] == "Default"


def declared(box: Sandbox, tenant: str, short_name: str) -> dict[str, str]:
    """The properties of a type in a tenant's metadata."""
    headers = {"Authorization": box.authorization}
    address = f"{box.url}/t/{tenant}/api/odata/dac/$metadata"
    root = ET.fromstring(requests.get(address, headers=headers, timeout=10).text)  # noqa: S314 - ours
    for each in root.iter(f"{EDM}EntityType"):
        if each.get("Name") == short_name:
            found = each.iter(f"{EDM}Property")
            return {prop.get("Name", ""): prop.get("Type", "") for prop in found}
    return {}


def test_tenants_may_declare_other_columns(box: Sandbox, get: Get) -> None:
    box.declare(ORDER, "B", without=["OrderDesc"], types={"Hold": "Edm.String"})
    ours, theirs = declared(box, "Company", "SOOrder"), declared(box, "B", "SOOrder")
    assert ours.keys() - theirs.keys() == {"OrderDesc"}
    assert (ours["Hold"], theirs["Hold"]) == ("Edm.Boolean", "Edm.String")
    assert get(ORDER, select="OrderDesc", top=1).status_code == 200
    address = f"{box.url}/t/B/api/odata/dac/{ORDER}?$select=OrderDesc"
    headers = {"Authorization": box.authorization}
    assert "Could not find" in requests.get(address, headers=headers, timeout=10).text
    assert len(box.rows(ORDER, "B")) > 1


def test_a_tenant_may_lack_an_entity_and_derived_types_go_on(box: Sandbox) -> None:
    box.hide(
        "PX_Objects_AR_ARRegister" if "px_objects_ar_arregister" in box.model.by_set else TERMS
    )
    box.hide(TERMS, "B")
    address = f"{box.url}/t/B/api/odata/dac/"
    headers = {"Authorization": box.authorization}
    names = [e["name"] for e in requests.get(address, headers=headers, timeout=10).json()["value"]]
    assert TERMS not in names
    assert ORDER in names
    assert requests.get(address + TERMS, headers=headers, timeout=10).status_code == 404
    box.forbid(ORDER, tenant="B")
    assert requests.get(address + ORDER, headers=headers, timeout=10).status_code == 403
    box.allow(ORDER)
    assert requests.get(address + ORDER, headers=headers, timeout=10).status_code == 200


def test_https_is_served_with_a_certificate_of_its_own_authority() -> None:
    with Sandbox(now=NOW, empty=True, tls=True) as box:
        address, headers = f"{box.url}/odatav4/{TERMS}", {"Authorization": box.authorization}
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(address, headers=headers, timeout=10)
        answer = requests.get(address, headers=headers, timeout=10, verify=box.bundle)
        assert box.url.startswith("https://")
        assert answer.json()["value"] == []
