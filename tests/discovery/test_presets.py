"""Presets name entities as the setting `entities` does, but the instance may lack them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.running import discover, run, select_all, settings_for

from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.settings.presets import PRESETS, entities_of

if TYPE_CHECKING:
    from sandbox import Sandbox

BATCHES = "PX_Objects_GL_Batch"
ACCOUNTS = "PX_Objects_GL_Account"
LEDGERS = "PX_Objects_GL_Ledger"  # which the sandbox lacks
TERMS = "PX_Objects_CS_Terms"
LACKING = "of the entities of the setting presets"


@pytest.fixture
def present(box: Sandbox) -> set[str]:
    """The names of all streams of the sandbox."""
    return discover(settings_for(box)).keys() | set()


@pytest.mark.parametrize("presets", [["finance"], ["finance-documents", "crm"], list(PRESETS)])
def test_presets_bring_what_the_instance_has_of_their_entities(
    box: Sandbox, present: set[str], presets: list[str]
) -> None:
    named = {name for preset in presets for name in PRESETS[preset]}
    streams = discover(settings_for(box, presets=presets), strict=True)
    assert streams.keys() == named & present
    assert all(stream["metadata"][0]["metadata"]["selected"] for stream in streams.values())


def test_presets_and_entities_are_one_set_of_names_from_which_others_are_excluded(
    box: Sandbox, present: set[str]
) -> None:
    finance = set(PRESETS["finance"]) & present
    both = settings_for(box, "*InventoryItem", "GLBatch", presets=["finance"])
    assert discover(both, strict=True).keys() == finance | {"PX_Objects_IN_InventoryItem"}
    less = discover({**both, "exclude_entities": ["Batch", "*_AR_*"]}, strict=True).keys()
    assert less == {name for name in finance if "_AR_" not in name and name != BATCHES} | {
        "PX_Objects_IN_InventoryItem"
    }


def test_what_the_instance_lacks_is_said_once_and_no_error(
    box: Sandbox, present: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    output = run(settings_for(box, presets=["finance", "sales"], exclude_entities=["*_AR_*"]))
    assert output.error is None
    assert output.records(BATCHES)
    (said,) = (record for record in caplog.records if LACKING in record.getMessage())
    assert said.levelname == "INFO"
    wanted = {name for name in entities_of(["finance", "sales"]) if "_AR_" not in name}
    assert f"lacks {len(wanted - present)} " in said.getMessage()
    assert set(vars(said)["lacking"]) == wanted - present
    _, _, listed = said.getMessage().partition("left out: ")
    assert set(listed.removesuffix(" ...").rstrip(",").split(", ")) < wanted - present


def test_nothing_is_said_if_the_instance_has_all(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    lacking = [name for name in PRESETS["inventory"] if "_IN_INT" not in name]
    discover(settings_for(box, presets=["inventory-documents"], exclude_entities=lacking))
    assert LACKING in caplog.text
    caplog.clear()
    discover(
        settings_for(
            box,
            presets=["inventory-documents"],
            exclude_entities=[*lacking, "PX_Objects_IN_INTranSplit"],
        )
    )
    assert LACKING not in caplog.text


def test_a_name_that_entities_has_too_must_exist(box: Sandbox) -> None:
    discover(settings_for(box, "Terms", presets=["finance"]), strict=True)
    for spelling in (LEDGERS, f" {LEDGERS.lower()} "):
        with pytest.raises(DiscoveryError, match="no such entity"):
            discover(settings_for(box, spelling, presets=["finance"]), strict=True)


def test_an_entity_of_a_preset_that_is_gone_is_missed_once_it_was_read(box: Sandbox) -> None:
    config = settings_for(box, presets=["finance-reference"])
    first = run(config)
    assert first.error is None
    box.hide(TERMS)
    box.clock.advance(7200)
    assert run(config).error is None, "no state knows it"
    second = run(config, state=first.state)
    assert str(second.error).startswith(f"The instance no longer has {TERMS}, ")
    excluded = {**config, "exclude_entities": ["Terms"]}
    assert run(excluded, state=first.state).error is None


def test_what_is_not_asked_for_any_more_is_not_missed_though_the_instance_lacks_others(
    box: Sandbox,
) -> None:
    state = run(settings_for(box, "Terms", presets=["finance-documents"])).state
    box.hide(TERMS)
    config = settings_for(box, presets=["finance-documents"])
    assert run(config, state=state).error is None
    catalog = select_all(discover(config))
    box.reset_counters()
    assert run(config, catalog=catalog, state=state).error is None
    assert box.counters().metadata_requests == 0


@pytest.mark.parametrize("strict", [True, False])
def test_presets_without_their_interface_are_a_mistake(
    box: Sandbox, caplog: pytest.LogCaptureFixture, *, strict: bool
) -> None:
    config = settings_for(box, "GI_*", presets=["finance"], interfaces=["gi"])
    if strict:
        with pytest.raises(DiscoveryError, match="leave them out"):
            discover(config, strict=True)
    else:
        assert discover(config)
        assert "leave them out" in caplog.text
    assert LACKING not in caplog.text


def test_presets_alone_ask_only_for_the_metadata_of_data_access_classes(box: Sandbox) -> None:
    discover(settings_for(box, presets=["crm"], tenants=["Company"]))
    paths = {request.path.lower() for request in box.log if request.kind == "metadata"}
    assert not [path for path in paths if "/gi/" in path]
    assert paths
