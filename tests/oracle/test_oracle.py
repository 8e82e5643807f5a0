"""No row is lost, none is retired and none is wrong, however servers and tables behave.

Every test copies simulated sites into a model of a target, by several runs of the tap, and holds
each run to the promises of docs/reliability.md.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.copying import MANY_CONNECTIONS, Copying, Run, Scene, Stream
from support.histories import DAC, Content, Shape
from support.traits import (
    AHEAD_REFUSED,
    DISPLAYS,
    INQUIRIES,
    KEYLESS_CHANGES_REFUSED,
    KEYLESS_REFUSED,
    SKEW,
    TRAITS,
    Choices,
    Trait,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "100"))
TRAIT_EXAMPLES = int(os.environ.get("ORACLE_TRAIT_EXAMPLES", max(EXAMPLES // 20, 10)))
"""Number of examples of each trait alone."""
SHAPES = (*[DAC] * len(INQUIRIES), *INQUIRIES)
# A search for any failure does without the phase that simplifies it.
SEARCH = (Phase.explicit, Phase.generate)
PROPERTY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=SEARCH if "ORACLE_QUICK" in os.environ else tuple(Phase),
)

UNSEEN = (
    {"rows missing when wide", "count of the answer"},
    {"rows missing when wide", "count up to the answer"},
    {"row above the size", "count of the answer"},
    {"row above the size", "count up to the answer"},
)
"""Traits that together leave no sign that rows are missing: neither counts nor answers tell."""

SEEN_ALONE = "rows missing in their place"
"""The trait that a read sees by nothing but counts that are right."""

HEALTHY = Trait("healthy", stream={"shape": (DAC,)})
"""A stream beside one that alone is odd."""


@st.composite
def arguments(draw: st.DrawFn, choices: Choices) -> dict[str, Any]:
    """Return one value for each name."""
    return {name: draw(st.sampled_from(values)) for name, values in choices.items()}


def stream_choices(traits: Sequence[Trait]) -> dict[str, Sequence[Any]]:
    """Return the values that all traits allow; none where they exclude each other."""
    choices: dict[str, Sequence[Any]] = {}
    for trait in traits:
        for name, values in trait.stream.items():
            allowed = choices.get(name, values)
            choices[name] = [value for value in values if value in allowed]
    return choices


def exist_together(traits: Sequence[Trait]) -> bool:
    """Whether a server may have all traits, and shows a sign of what they do."""
    names = {trait.name for trait in traits}
    is_seen = names not in UNSEEN and (SEEN_ALONE not in names or names <= {SEEN_ALONE, "healthy"})
    return is_seen and all(stream_choices(traits).values())


@st.composite
def servers(draw: st.DrawFn, shape: Shape, *, late: bool) -> dict[str, Any]:
    """The arguments of a healthy server."""
    formulas = [frozenset[str](), frozenset({"LastModifiedDateTime"}), frozenset({"Version"})]
    skews = (-SKEW, timedelta(0), SKEW) if late and draw(st.booleans()) else (SKEW * 0,)
    return {
        "cap": draw(st.sampled_from([None, None, 7, 25])),
        "counts": draw(st.booleans()),
        "precision": draw(st.sampled_from([1, 10_000, 1_000_000, 1_000_000])),
        "rounds": draw(st.booleans()),
        "nulls_last": draw(st.booleans()),
        "skews": skews,
        "slow_above": draw(st.sampled_from([None, None, 60])) if shape.keyed else None,
        "formulas": draw(st.sampled_from(formulas if shape.interface == "gi" else formulas[:1])),
        "collates": draw(st.booleans()),
        "links": draw(st.booleans()),
        "counts_apart": draw(st.booleans()),
    }


@st.composite
def streams(
    draw: st.DrawFn, traits: Sequence[Trait], display: dict[str, Any], *, late: bool, first: bool
) -> Stream:
    """A table with these traits."""
    choices = {"shape": SHAPES, "dated": (True, True, False), **stream_choices(traits)}
    exposed: dict[str, Any] = draw(arguments(choices))
    server = draw(servers(exposed["shape"], late=late)) | display
    content: dict[str, Any] = {}
    for trait in traits:
        server |= draw(arguments(trait.server))
        content |= draw(arguments(trait.content))
        if first:
            content |= draw(arguments(trait.first_content))
    # No DAC has formulas, and no key that tells rows apart is made of columns that do not sort.
    shape = exposed["shape"]
    sortable = {"K0", "K1", "K2", "K3"} if shape.keyed else set()
    server["formulas"] = server["formulas"] - sortable if shape.interface == "gi" else frozenset()
    return Stream(server, content=Content(**content), **exposed)


@st.composite
def scenes(draw: st.DrawFn, traits: Sequence[Trait] = ()) -> Scene:
    """Tables with these traits, and runs that copy them."""
    shared: dict[str, Sequence[Any]] = {
        "late": (True, False),
        "changing": (True, False),
        "tenants": ((None,), (None,), (None,), ("North", "South")),
    }
    for trait in traits:
        shared |= trait.scene
    scene: dict[str, Any] = draw(arguments(shared))
    displays = next((trait.displays for trait in traits if trait.displays), DISPLAYS)
    display, fitting = draw(st.sampled_from(displays))
    least = max((trait.streams for trait in traits), default=1)
    number = max(least, draw(st.sampled_from([1, 1, 1, 2])))
    tables = []
    for index in range(number):
        is_last = index == number - 1
        odd = [trait for trait in traits if is_last or not trait.only_last]
        if len(odd) < len(traits):
            odd = [*(trait for trait in odd if exist_together([trait, HEALTHY])), HEALTHY]
        shown = {} if HEALTHY in odd else dict(display)
        tables.append(draw(streams(odd, shown, late=scene["late"], first=not is_last)))
    base = {
        **fitting,
        "page_size": draw(st.sampled_from([10, 10, 13, 50, 100])),
        "time_offset": 3600 if scene["late"] else 0,
        "max_pool_size": draw(st.sampled_from([1, 2, MANY_CONNECTIONS, MANY_CONNECTIONS])),
    }
    fates: dict[str, Sequence[Any]] = {"is_killed": (False, False, True), "minutes": (0, 1, 90)}
    for trait in traits:
        fates |= trait.run
    runs = [
        Run(
            {**base, **draw(settings_of(traits))},
            **{
                "stop_after": draw(st.sampled_from([None, None]) | st.integers(1, 150)),
                **draw(arguments(fates)),
            },
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    runs.append(Run({**base, **draw(settings_of(traits))}, has_settled=True))
    return Scene(draw(st.integers(0, 2**32)), tuple(tables), tuple(runs), **scene)


@st.composite
def settings_of(draw: st.DrawFn, traits: Sequence[Trait]) -> dict[str, Any]:
    """The settings that the traits change from run to run."""
    drawn: dict[str, Any] = {}
    for trait in traits:
        drawn |= draw(arguments(trait.settings))
    return drawn


def copy(scene: Scene, traits: Sequence[Trait]) -> None:
    """Copy a scene, run by run; fail where a run breaks a promise."""
    copying = Copying(scene)
    refusals = [trait.refused for trait in traits if trait.refused]
    if not all(stream.shape.keyed for stream in scene.streams):
        refusals += [KEYLESS_REFUSED, *[KEYLESS_CHANGES_REFUSED] * scene.changing]
    if any(stream.server.get("wall_filters") for stream in scene.streams):
        # Wall clocks ahead of UTC: several streams show it, one alone may have such rows.
        refusals.append(AHEAD_REFUSED)
    for error in copying.run_all():
        if error and not any(re.search(refusal, str(error)) for refusal in refusals):
            raise error
        if not traits and not scene.changing:
            versions = Counter(
                (stream, row.get("_tenant"), row["Version"]) for stream, row in copying.records
            )
            assert not versions or max(versions.values()) == 1


@settings(PROPERTY, max_examples=max(EXAMPLES // 2, 10))
@given(data=st.data())
def test_generations_retire_what_is_gone_and_nothing_else(data: st.DataObject) -> None:
    generations = next(trait for trait in TRAITS if trait.name == "generations")
    scene = data.draw(scenes([generations]))
    # The last run may go on with a generation that began in front of it.
    copy(replace(scene, runs=(*scene.runs, scene.runs[-1])), [generations])


@PROPERTY
@given(data=st.data())
def test_every_run_keeps_its_promises(data: st.DataObject) -> None:
    lists = st.lists(st.sampled_from(TRAITS), max_size=2, unique=True)
    traits = data.draw(lists.filter(exist_together))
    copy(data.draw(scenes(traits)), traits)


@pytest.mark.parametrize("trait", TRAITS, ids=lambda trait: trait.name.replace(" ", "-"))
@settings(PROPERTY, max_examples=TRAIT_EXAMPLES)
@given(data=st.data())
def test_every_run_keeps_its_promises_with_the_trait(data: st.DataObject, trait: Trait) -> None:
    copy(data.draw(scenes([trait])), [trait])
