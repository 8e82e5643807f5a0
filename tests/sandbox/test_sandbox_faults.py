from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit
from xml.parsers import expat

import pytest
import requests
from support.serving import NOW, Get, getting

import sandbox
from sandbox import Fault, Sandbox
from sandbox.faultkinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAN = "PX_Objects_GL_GLTran"
KEY = "BatchNbr,LineNbr,Module"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as box:
        yield box


@pytest.fixture
def get(box: Sandbox) -> Iterator[Get]:
    with getting(box) as get:
        yield get


def keys(answer: requests.Response) -> list[tuple[object, ...]]:
    return [tuple(each[key] for key in KEY.split(",")) for each in answer.json()["value"]]


def all_keys(box: Sandbox) -> list[tuple[object, ...]]:
    return [tuple(each[key] for key in KEY.split(",")) for each in box.rows(TRAN)]


def test_default_is_a_server_without_faults(box: Sandbox, get: Get) -> None:
    assert len(get(TRAN).json()["value"]) == len(box.rows(TRAN))
    assert "@odata.nextLink" not in get(TRAN, top=10).json()


def test_unknown_kinds_are_refused(box: Sandbox) -> None:
    with pytest.raises(KeyError):
        box.faults.add(Fault("nonsense"))


def test_a_fault_hits_what_matches_after_some_and_so_many_times(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("unavailable", match=r"Terms.*TermsID eq", times=2, after=1))
    statuses = [get("Terms", filter="TermsID eq 'x'").status_code for _ in range(5)]
    assert statuses == [200, 503, 503, 200, 200]
    assert get("Terms").status_code == 200
    box.faults.add(Fault("not_found"))
    assert get("$metadata").status_code == 200
    assert get("Terms").status_code == 404
    box.faults.clear()
    assert get("Terms").status_code == 200


def test_a_silent_cap(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("rows_cap", rows=50))
    answer = get(TRAN, top=80, count="true").json()
    assert (len(answer["value"]), answer["@odata.count"]) == (50, len(box.rows(TRAN)))
    assert len(get(TRAN).json()["value"]) == 50
    box.faults.clear()
    box.faults.add(Fault("rows_cap", rows=50, count=False))
    assert "@odata.count" not in get(TRAN, top=80, count="true").json()


@pytest.mark.parametrize("style", ["absolute", "relative", "service", "query"])
def test_next_links_lead_through_all_rows(box: Sandbox, get: Get, style: str) -> None:
    box.faults.add(Fault("next_link", style=style, size=250))
    answer = get(TRAN, orderby=KEY)
    found = keys(answer)
    while link := answer.json().get("@odata.nextLink"):
        base = answer.url
        if style == "service":
            base = f"{box.url}/t/Company/api/odata/dac/"
        address = urljoin(base, link)
        answer = requests.get(address, headers={"Authorization": box.authorization}, timeout=5)
        found += keys(answer)
    assert found == all_keys(box)


def test_a_token_must_come_back_as_it_was_sent(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("next_link", style="token", size=250))
    link = get(TRAN).json()["@odata.nextLink"]
    assert link.endswith("$skiptoken=sbx+=%2B250")
    headers = {"Authorization": box.authorization}
    assert requests.get(link.replace("%2B", "+"), headers=headers, timeout=5).status_code == 400
    answer = requests.get(link, headers=headers, timeout=5)
    assert keys(answer) == all_keys(box)[250:500]


def test_links_to_elsewhere_and_in_circles(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("next_link", style="foreign", size=250, times=1))
    assert get(TRAN).json()["@odata.nextLink"].startswith("http://elsewhere.example/t/Company/")
    box.faults.clear()
    box.faults.add(Fault("next_link", style="loop", size=10))
    link = get(TRAN).json()["@odata.nextLink"]
    again = requests.get(link, headers={"Authorization": box.authorization}, timeout=5)
    assert again.json()["@odata.nextLink"] == link


def test_an_empty_page_is_not_the_end(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("empty_page", times=1))
    answer = get(TRAN, top=30).json()
    assert answer["value"] == []
    address = answer["@odata.nextLink"]
    rest = requests.get(address, headers={"Authorization": box.authorization}, timeout=5)
    assert keys(rest) == all_keys(box)[:30]


def test_a_row_repeated_at_the_page_border(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("duplicate_row"))
    first, second = (keys(get(TRAN, top=100, skip=skip)) for skip in (0, 100))
    assert first[-1] == second[0]
    box.faults.clear()
    box.faults.add(Fault("duplicate_row", at=5))
    page = keys(get(TRAN, top=100))
    assert page[4] == page[5]
    assert len(page) == 100


def test_bodies_that_are_no_rows(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("empty_body", times=1))
    box.faults.add(Fault("login_page", times=1, after=1))
    box.faults.add(Fault("redirect", times=1, after=2))
    box.faults.add(Fault("truncated", times=1, after=3))
    empty, page, moved, cut = (get(TRAN) for _ in range(4))
    assert (empty.status_code, empty.content) == (200, b"")
    assert page.headers["Content-Type"].startswith("text/html")
    assert moved.status_code == 302
    assert requests.get(moved.headers["Location"], timeout=5).text.startswith("<!DOCTYPE html>")
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut.content)


def test_a_body_shorter_than_announced(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("short_body"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(TRAN)


@pytest.mark.parametrize("when", ["before", "headers", "body"])
def test_resets(box: Sandbox, get: Get, when: str) -> None:
    box.faults.add(Fault("reset", times=1, when=when))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(TRAN)
    assert get("Terms").ok


def test_a_hang_lasts_until_the_client_leaves(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("hang", above_top=100, stuck=True))
    session = requests.Session()
    session.headers["Authorization"] = box.authorization
    address = f"{box.url}/odatav4/{TRAN}"
    assert session.get(address, params={"$top": "100"}, timeout=5).ok
    with pytest.raises(requests.ReadTimeout):
        session.get(address, params={"$top": "101"}, timeout=0.05)
    with pytest.raises(requests.ReadTimeout):
        session.get(address, params={"$top": "1"}, timeout=0.05)
    session.close()
    assert get(TRAN, top=100).ok
    assert box.log[-2].status is None


def test_busy_answers_say_when_to_come_back(box: Sandbox, get: Get) -> None:
    date = "Mon, 01 Jun 2026 12:00:05 GMT"
    for value in (None, 3, date):
        box.faults.add(Fault("throttle", times=1, retry_after=value))
        answer = get(TRAN)
        assert answer.status_code == 429
        assert answer.headers.get("Retry-After") == (None if value is None else str(value))
        box.faults.clear()


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("message", '{"message":"a \\"b\\""}'),
        ("error", '{"error":{"code":"","message":"a \\"b\\""}}'),
        ("text", 'a "b"'),
    ],
)
def test_errors_in_any_shape(box: Sandbox, get: Get, shape: str, body: str) -> None:
    box.faults.add(Fault("error", message='a "b"', shape=shape))
    answer = get(TRAN)
    assert (answer.status_code, answer.text) == (500, body)


def test_a_401_in_mid_run_ends_the_session(box: Sandbox, get: Get) -> None:
    get("Terms")
    box.faults.add(Fault("unauthorized", times=1))
    assert get("Terms").status_code == 401
    assert box.counters().sessions_open == 0
    assert box.counters().unauthorized == 1


def test_a_column_vanishes(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("vanish", column="Descr"))
    assert "Descr" not in get("Terms").json()["value"][0]
    for option, text in (("select", "Descr"), ("filter", "Descr eq 'a'"), ("orderby", "Descr")):
        answer = get("Terms", **{option: text})
        assert answer.status_code == 500
        assert "Could not find a property named 'Descr'" in answer.json()["message"]


def test_values_change_their_type(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("retype", column="DayDue00", into="string"))
    assert get("Terms", select="DayDue00").json()["value"][0] == {"DayDue00": "14"}


def test_options_are_ignored(box: Sandbox, get: Get) -> None:
    everything = get(TRAN).json()["value"]
    for kind in ("ignore_filter", "ignore_order", "ignore_count"):
        box.faults.add(Fault(kind))
    answer = get(TRAN, filter="Module eq 'none'", orderby=KEY, count="true").json()
    assert len(answer["value"]) == len(everything)
    assert answer["value"] != everything
    assert "@odata.count" not in answer


def test_nulls_last(box: Sandbox, get: Get) -> None:
    def stamps() -> list[str | None]:
        answer = get("GLHistory", orderby="LastModifiedDateTime")
        return [each["LastModifiedDateTime"] for each in answer.json()["value"]]

    assert stamps()[0] is None
    box.faults.add(Fault("nulls_last"))
    assert stamps()[-1] is None


def test_ties_are_shuffled(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("shuffle"))
    first, second = (keys(get(TRAN, orderby="Module")) for _ in range(2))
    assert first != second
    assert sorted(first, key=str) == sorted(second, key=str)


def test_sign_out_and_metadata_fail_too(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("error", match="logout", status=502))
    box.faults.add(Fault("truncated", match=r"\$metadata$"))
    answer = requests.post(f"{box.url}/entity/auth/logout", data=b"", timeout=5)
    assert answer.status_code == 502
    assert b"</edmx:Edmx>" not in get("$metadata").content


def test_faults_are_set_over_http(box: Sandbox, get: Get) -> None:
    body = {"kind": "rows_cap", "match": "Terms", "times": 1, "rows": 1}
    assert requests.post(f"{box.url}/_control/fault", json=body, timeout=5).ok
    assert [len(get("Terms").json()["value"]) for _ in range(2)] == [1, 3]
    requests.post(f"{box.url}/_control/fault", json={"kind": "forbidden"}, timeout=5)
    requests.post(f"{box.url}/_control/clear-faults", timeout=5)
    assert get("Terms").ok
    answer = requests.post(f"{box.url}/_control/fault", json={"kind": "nope"}, timeout=5)
    assert answer.status_code == 400


def test_something_in_front_of_the_server_blocks(box: Sandbox, get: Get) -> None:
    for status in (403, 404):
        box.faults.add(Fault("blocked", times=1, status=status))
        page = get(TRAN)
        assert (page.status_code, "<html" in page.text) == (status, True)
        box.faults.clear()


def test_a_good_answer_holds_an_error(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("error_in_body", message="x"))
    answer = get(TRAN)
    assert (answer.status_code, answer.json()["value"]) == (200, [])
    assert answer.json()["error"]["message"] == "x"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"form": "redirect"}, 302),
        ({"form": "page"}, 200),
        ({"form": "page", "status": 500}, 500),
        ({"form": "json"}, 500),
        ({"form": "iis"}, 429),
    ],
)
def test_there_are_too_many_sessions_in_any_form(
    box: Sandbox, get: Get, options: dict[str, str | int], status: int
) -> None:
    fault = Fault("login_limit")
    fault.options = dict(options)
    box.faults.add(fault)
    answer = get(TRAN)
    assert answer.status_code == status
    words = answer.text + answer.headers.get("Location", "").replace("%20", " ")
    known = ("concurrent API logins", "API Login Limit", "custom error module")
    assert any(each in words for each in known)


def test_exceptions_of_the_server_have_their_type(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("not_set_up", match="Terms", form="X Preferences"))
    box.faults.add(Fault("unknown_column", match=TRAN))
    setup, column = get("Terms"), get(TRAN, select="Module")
    assert setup.json()["exceptionType"].endswith("PXSetupNotEnteredException")
    assert "on the X Preferences form" in setup.json()["exceptionMessage"]
    assert column.json()["exceptionType"].endswith("KeyNotFoundException")
    assert get(TRAN).ok


def test_large_pages_fail(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("timed_out", match="Terms", above_top=10))
    box.faults.add(Fault("error", match=TRAN, status=504, above_top=10))
    for name, status in (("Terms", 500), (TRAN, 504)):
        assert get(name, top=10).ok
        assert get(name, top=11).status_code == get(name).status_code == status


@pytest.mark.parametrize("kind", ["informational", "repeated"])
def test_answers_come_one_too_early(box: Sandbox, kind: str) -> None:
    box.faults.add(Fault(kind))
    address = "/t/Company/api/odata/dac/TERMS?$top={}"
    headers = {"Authorization": box.authorization}
    connection = HTTPConnection("127.0.0.1", urlsplit(box.url).port, timeout=5)
    answers = []
    for top in (1, 2, 3):
        connection.request("GET", address.format(top), headers=headers)
        response = connection.getresponse()
        headers |= {"Cookie": response.headers.get("Set-Cookie", "").partition(";")[0]}
        answers.append((response.status, response.read().count(b'"TermsID"')))
    connection.close()
    if kind == "informational":
        assert answers[0] == (103, 0)
    else:
        assert answers[:2] == [(200, 1), (200, 1)]


def test_a_label_has_a_character_that_xml_forbids(box: Sandbox, get: Get) -> None:
    box.faults.add(Fault("control_character", match="metadata"))
    with pytest.raises(expat.ExpatError, match="invalid character"):
        expat.ParserCreate().Parse(get("$metadata").content)


def test_every_kind_is_described() -> None:
    readme = (Path(sandbox.__file__).parent / "README.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"`{kind}`" in readme, kind
