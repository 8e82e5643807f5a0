"""Deletions, hidden rows and changes of keys in the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.serving import NOW, Get, getting

from sandbox import Fault, Sandbox
from sandbox.deletions import PREFERENCES, RETENTION, TRACKED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

TERMS = "PX_Objects_CS_Terms"
CONTACTS = "PX_Objects_CR_Contact"
CUSTOMERS = "PX_Objects_AR_Customer"
FUNCTION = "px.GetDeletedRecords()"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=60, tenants=("Company", "Company B")) as box:
        yield box


@pytest.fixture
def get(box: Sandbox) -> Iterator[Get]:
    with getting(box) as get:
        yield get


def value(response: requests.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()["value"]
    return rows


def delete(box: Sandbox, entity: str, count: int = 1) -> list[Any]:
    """Delete the first rows of an entity a minute apart; returns their NoteIDs."""
    key = box.model.find(entity).key
    rows = box.rows(entity)[:count]
    for row in rows:
        box.clock.advance(60)
        box.delete(entity, {name: row[name] for name in key})
    return [row["NoteID"] for row in rows]


# Tracked deletions


def test_deletions_are_logged_from_the_day_on_which_the_class_was_listed(
    box: Sandbox, get: Get
) -> None:
    delete(box, TERMS)
    box.track(TERMS)
    notes = delete(box, TERMS, 3)
    found = value(get(f"{TERMS}/{FUNCTION}", orderby="DeleteDate"))
    assert [row["RefNoteID"] for row in found] == notes
    assert found[0]["DeleteDate"] == "2026-06-01T12:02:00Z"
    assert [row["TableName"] for row in value(get(TRACKED))] == ["PX.Objects.CS.Terms"]
    assert value(get(f"Terms/{FUNCTION}", orderby="DeleteDate")) == found
    assert box.rows(TRACKED, "Company B") == []


def test_a_deletion_is_that_of_the_base_class_too(box: Sandbox, get: Get) -> None:
    box.track("PX_Objects_CR_BAccount")
    notes = delete(box, CUSTOMERS)
    found = value(get(f"PX_Objects_CR_BAccount/{FUNCTION}"))
    assert [row["RefNoteID"] for row in found] == notes


def test_entries_are_kept_for_the_days_of_the_preferences(box: Sandbox, get: Get) -> None:
    box.track(TERMS)
    delete(box, TERMS)
    assert get(PREFERENCES).json()[RETENTION] == 10
    box.clock.advance(9 * 86_400)
    assert len(value(get(f"{TERMS}/{FUNCTION}"))) == 1
    box.keep_deletions(3)
    assert value(get(f"{TERMS}/{FUNCTION}")) == []


def test_the_log_can_be_filtered_and_paged(box: Sandbox, get: Get) -> None:
    box.track(CUSTOMERS)
    notes = delete(box, CUSTOMERS, 4)
    path = f"{CUSTOMERS}/{FUNCTION}"
    found = value(get(path, filter="DeleteDate ge 2026-06-01T12:03:00Z", orderby="DeleteDate"))
    assert [row["RefNoteID"] for row in found] == notes[2:]
    answer = get(path, orderby="DeleteDate", top=2, skip=1, count="true").json()
    assert [row["RefNoteID"] for row in answer["value"]] == notes[1:3]
    assert answer["@odata.count"] == 4
    box.faults.add(Fault("next_link", "GetDeletedRecords", size=3))
    answer = get(path, orderby="DeleteDate").json()
    assert (len(answer["value"]), "@odata.nextLink" in answer) == (3, True)


@pytest.mark.parametrize("status", [400, 404, 501])
def test_what_is_not_tracked_is_refused(box: Sandbox, get: Get, status: int) -> None:
    box.quirks.untracked = status
    assert get(f"{TERMS}/{FUNCTION}").status_code == status


def test_older_releases_have_neither_list_nor_function(box: Sandbox, get: Get) -> None:
    box.track(TERMS)
    box.hide(TRACKED)
    box.quirks.tells_deletions = False
    assert get(TRACKED).status_code == 404
    assert get(f"{TERMS}/{FUNCTION}").status_code == 404


def test_list_and_function_need_rights(box: Sandbox, get: Get) -> None:
    box.track(TERMS)
    box.forbid(TRACKED)
    box.forbid(TERMS)
    assert get(TRACKED).status_code == 403
    assert get(f"{TERMS}/{FUNCTION}").status_code == 403


# Hidden rows


def names(box: Sandbox, header: str = "", entity: str = CONTACTS) -> list[Any]:
    with getting(box, **({header: "SHOW"} if header else {})) as get:
        key = box.model.find(entity).key[0]
        return [row[key] for row in value(get(entity, select=key))]


@pytest.mark.parametrize(
    ("why", "header"), [("archived", "PX-ApiArchive"), ("deleted", "PX-ApiDeleted")]
)
def test_archived_and_deleted_rows_are_shown_on_demand(
    box: Sandbox, get: Get, why: str, header: str
) -> None:
    everyone = names(box)
    box.hide_rows(CONTACTS, {"ContactID": everyone[0]}, why)
    assert names(box) == everyone[1:]
    assert names(box, header) == everyone
    other = {"PX-ApiArchive": "PX-ApiDeleted"}.get(header, "PX-ApiArchive")
    assert names(box, other) == everyone[1:]
    assert get(f"{CONTACTS}/$count").text == str(len(everyone) - 1)
    box.hide_rows(CONTACTS, {"ContactID": everyone[0]})
    assert names(box) == everyone


@pytest.mark.parametrize("dated", [True, False])
def test_a_row_that_is_marked_as_deleted_says_so_where_its_class_has_the_column(
    box: Sandbox, *, dated: bool
) -> None:
    before = box.rows(CONTACTS)[0]
    key = {"ContactID": before["ContactID"]}
    box.hide_rows(CONTACTS, key, "deleted", dated=dated)
    row = box.rows(CONTACTS)[0]
    assert row["DeletedDatabaseRecord"] is True
    assert (row["LastModifiedDateTime"] != before["LastModifiedDateTime"]) == dated
    box.hide_rows(CONTACTS, key)
    assert box.rows(CONTACTS)[0]["DeletedDatabaseRecord"] is False


def test_a_restriction_group_hides_rows_whatever_is_asked_for(box: Sandbox, get: Get) -> None:
    everyone = names(box, entity=CUSTOMERS)
    box.restrict(CUSTOMERS, 3)
    assert names(box, entity=CUSTOMERS) == everyone[:3]
    assert names(box, "PX-ApiDeleted", CUSTOMERS) == everyone[:3]
    assert get(f"{CUSTOMERS}/$count").text == "3"
    box.restrict(CUSTOMERS)
    assert names(box, entity=CUSTOMERS) == everyone


def test_hidden_rows_are_hidden_from_inquiries_and_related_rows(box: Sandbox, get: Get) -> None:
    before = len(box.inquiry_rows("Customer Contacts"))
    box.restrict(CONTACTS, 0)
    box.restrict(CUSTOMERS, 0)
    assert len(box.inquiry_rows("Customer Contacts")) < before
    rows = value(get("PX_Objects_CR_BAccount", expand="ContactCollection($select=ContactID)"))
    assert {len(row["ContactCollection"]) for row in rows} == {0}


# Keys that change


@pytest.mark.parametrize("dated", [True, False])
def test_a_row_with_another_key_keeps_its_note_and_perhaps_its_date(
    box: Sandbox, *, dated: bool
) -> None:
    before = box.rows(TERMS)[0]
    assert box.rename(TERMS, {"TermsID": before["TermsID"]}, {"TermsID": "ZZ"}, dated=dated) == 1
    after = box.rows(TERMS)[-1]
    assert (after["TermsID"], after["NoteID"]) == ("ZZ", before["NoteID"])
    assert (after["LastModifiedDateTime"] != before["LastModifiedDateTime"]) == dated
