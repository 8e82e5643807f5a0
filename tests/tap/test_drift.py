"""Streams that change: each difference is said once, with its consequence and what to do."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.running import (
    NOW,
    discover,
    in_this_process,
    run,
    select_all,
    settings_for,
    write_json,
)

from sandbox import Sandbox
from sandbox.inquiries.made import INQUIRIES
from sandbox.variants import with_key
from tap_acumatica.run.drift import IN_FULL, SENTENCES, Kind, SchemaChanged
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TERMS = "PX_Objects_CS_Terms"
ITEMS = "PX_Objects_IN_InventoryItem"
USERS = "PX_SM_Users"
STATUS = "GI_Inventory_Status"
RENAMED = "GI_Stock_Status"
MODIFIED = "LastModifiedDateTime"


@dataclass(frozen=True)
class Case:
    """How a difference comes about.

    Attributes:
        change: Changes the instance; may return changes of the settings.
        named: What the sentence names.
        prepare: Makes the instance as it is before.
        stream: The stream that the sentence is about.
        full: Whether the sentence is that of a stream that is read in full now.
    """

    change: Callable[[Sandbox], Any]
    named: str = ""
    prepare: Callable[[Sandbox], Any] = lambda _: None
    stream: str = TERMS
    full: bool = False


def lacks(*columns: str) -> Callable[[Sandbox], None]:
    return lambda box: box.declare(TERMS, without=columns)


def retyped(column: str, edm_type: str) -> Callable[[Sandbox], None]:
    return lambda box: box.declare(TERMS, types={column: edm_type})


def whole(box: Sandbox) -> None:
    box.service.models["Company"] = box.model


def renamed(box: Sandbox) -> None:
    (inquiry,) = [each for each in INQUIRIES if each.title == "Inventory-Status"]
    box.inquiries.remove(inquiry.title)
    box.inquiries.add(replace(inquiry, title="Stock Status"))


def rekeyed(box: Sandbox) -> None:
    models = box.service.models
    models["Company"] = with_key(models["Company"], TERMS, ("Descr", "TermsID"))


CASES = {
    Kind.COLUMN_ADDED: Case(whole, "Descr", lacks("Descr")),
    Kind.COLUMN_REMOVED: Case(lacks("Descr"), "one with the code"),
    Kind.COLUMN_RETYPED: Case(retyped("DayDue00", "Edm.String"), "DayDue00: integer, now string"),
    Kind.KEY_CHANGED: Case(rekeyed, "TermsID; now Descr, TermsID"),
    Kind.REPLICATION_KEY_GONE: Case(lacks(MODIFIED), MODIFIED, full=True),
    Kind.REPLICATION_KEY_RETYPED: Case(
        retyped(MODIFIED, "Edm.String"), f"{MODIFIED}: date-time, now string", full=True
    ),
    Kind.METHOD_CHANGED: Case(
        lambda _: {"tracking_type": "none"}, f"before by {MODIFIED}, now in full", full=True
    ),
    Kind.ENTITY_GONE: Case(lambda box: box.hide(TERMS)),
    Kind.ENTITY_NEW: Case(
        lambda box: box.service.models.update(Company=box.model),
        prepare=lambda box: box.hide(TERMS),
    ),
    Kind.INQUIRY_RENAMED: Case(renamed, RENAMED, stream=STATUS),
    Kind.RIGHTS_LOST: Case(lambda box: box.forbid(TERMS)),
}


def test_each_kind_of_difference_is_provoked() -> None:
    assert CASES.keys() == set(Kind) == SENTENCES.keys() > IN_FULL.keys()


@pytest.fixture(params=Kind)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


def settings(box: Sandbox) -> dict[str, Any]:
    return settings_for(
        box, TERMS, ITEMS, USERS, STATUS, RENAMED, time_zone="UTC", max_retry_time=0
    )


def said(text: str, kind: Kind, case: Case) -> int:
    """How often the sentence of a difference stands in a text."""
    sentence = (IN_FULL.get(kind) if case.full else None) or SENTENCES[kind]
    before, _, after = sentence.format(stream=case.stream, names="|").partition("|")
    found = [line for line in text.splitlines() if before in line and after in line]
    assert all(case.named in line for line in found)
    return len(found)


def test_a_run_as_meltano_does_it_says_each_difference_once(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    case = CASES[kind]
    with Sandbox(now=NOW, rows=20) as box:
        case.prepare(box)
        config = settings(box)
        first = run(config, catalog=select_all(discover(config)))
        assert first.error is None
        assert not any(said(caplog.text, each, CASES[each]) for each in Kind)
        config |= case.change(box) or {}
        catalog = select_all(discover(config))
        strict = run(
            {**config, "schema_changes": "fail"}, catalog=catalog, state=deepcopy(first.state)
        )
        refuses = kind not in {Kind.ENTITY_NEW, Kind.RIGHTS_LOST}
        assert isinstance(strict.error, SchemaChanged) == refuses
        if refuses:
            assert not strict.messages
            assert said(str(strict.error), kind, case) == 1
        caplog.clear()
        second = run(config, catalog=catalog, state=deepcopy(first.state))
        assert said(caplog.text, kind, case) == 1
        others = set(Kind) - {kind}
        assert not [
            each for each in others if said(caplog.text, each, replace(CASES[each], named=""))
        ]
        caplog.clear()
        run(config, catalog=catalog, state=second.state)
        assert said(caplog.text, kind, case) == (kind is Kind.RIGHTS_LOST)


def test_a_check_with_the_old_catalog_names_each_difference(kind: Kind, tmp_path: Path) -> None:
    case = CASES[kind]
    if kind is Kind.METHOD_CHANGED:
        case = replace(case, named="now in full")
    if kind is Kind.COLUMN_REMOVED:
        case = replace(case, named="Descr")
    with Sandbox(now=NOW, rows=20) as box:
        case.prepare(box)
        config = settings(box)
        old = write_json(tmp_path / "old.json", select_all(discover(config)))
        state = write_json(tmp_path / "state.json", run(config).state)
        config |= case.change(box) or {}
        arguments = ["check", "--config", write_json(tmp_path / "c.json", config), "--catalog", old]
        with in_this_process():
            result = CliRunner().invoke(
                TapAcumatica.cli, [*arguments, "--state", state, "--format", "json"]
            )
        steps = json.loads(result.stdout)["steps"]
        if kind is Kind.RIGHTS_LOST:
            (streams,) = [step for step in steps if step["step"] == "Streams"]
            assert (streams["status"], result.exit_code) == ("bad", 1)
            assert f"since it read {TERMS} before" in streams["text"]
            return
        (changes,) = [step for step in steps if step["step"] == "Changes"]
        found = changes["facts"]["changes"]
        (change,) = [
            each for each in found if (each["change"], each["stream"]) == (kind, case.stream)
        ]
        assert said(change["sentence"], kind, case) == 1


def test_a_new_column_is_filled_where_streams_are_read_in_full_at_intervals() -> None:
    case = CASES[Kind.COLUMN_ADDED]
    with Sandbox(now=NOW, rows=20) as box:
        case.prepare(box)
        config = settings(box) | {"full_read_interval": 168}
        first = run(config, catalog=select_all(discover(config)))
        case.change(box)
        second = run(config, catalog=select_all(discover(config)), state=deepcopy(first.state))
    assert len(second.records(TERMS)) == len(first.records(TERMS))
    assert all(record["Descr"] for record in second.records(TERMS))


def test_a_difference_of_several_tenants_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(now=NOW, rows=20, tenants=("A", "B")) as box:
        config = settings_for(box, TERMS, tenants=["A", "B"])
        first = run(config, catalog=select_all(discover(config)))
        for tenant in "AB":
            box.declare(TERMS, tenant, types={"DayDue00": "Edm.String"})
        run(config, catalog=select_all(discover(config)), state=first.state)
        assert said(caplog.text, Kind.COLUMN_RETYPED, CASES[Kind.COLUMN_RETYPED]) == 1


def test_a_stream_that_is_deselected_is_not_gone(caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(now=NOW, rows=20) as box:
        config = settings_for(box, TERMS, USERS)
        first = run(config, catalog=select_all(discover(config)))
        catalog = select_all(discover(config))
        catalog["streams"][0]["metadata"][0]["metadata"]["selected"] = False
        run(config, catalog=catalog, state=first.state)
        assert "is gone" not in caplog.text
