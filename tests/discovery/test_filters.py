"""Which entities the settings include: exact names first, then globs, in both lists alike."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.running import run, settings_for

from sandbox.inquiries import Inquiry
from tap_acumatica.discovery.filters import DiscoverySettings
from tap_acumatica.odata.addresses import INQUIRY

if TYPE_CHECKING:
    from sandbox import Sandbox

NAMES = st.text("aA1[]*?! -", min_size=1, max_size=5).filter(lambda name: name == name.strip())


def wanted(names: list[str], config: DiscoverySettings) -> set[str]:
    named = config.naming(names)
    return {name for name in names if named.wants([name], INQUIRY)}


@settings(max_examples=500, deadline=None)
@given(
    names=st.lists(NAMES, max_size=6, unique_by=str.lower),
    globs=st.lists(NAMES, max_size=3),
    blanks=st.sampled_from(["", " ", "\t "]),
)
def test_a_glob_that_is_a_name_means_that_name_alone_in_either_list(
    names: list[str], globs: list[str], blanks: str
) -> None:
    lower = {name.lower() for name in names}
    expected = {
        name
        for name in names
        for glob in map(str.lower, globs)
        if (name.lower() == glob if glob in lower else fnmatchcase(name.lower(), glob))
    }
    given_globs = [f"{blanks}{glob}{blanks}" for glob in globs]
    assert wanted(names, DiscoverySettings(entities=given_globs)) == expected
    left = wanted(names, DiscoverySettings(exclude_entities=given_globs))
    assert left == set(names) - expected
    unmatched = DiscoverySettings(entities=given_globs).unmatched_globs({INQUIRY: names})
    for glob, given_glob in zip(globs, given_globs, strict=True):
        found = glob.lower() in lower or any(fnmatchcase(n, glob.lower()) for n in lower)
        assert (given_glob in unmatched) != found


@pytest.mark.parametrize("setting", ["entities", "exclude_entities"])
@pytest.mark.parametrize("name", ["[OLD] Sales", " [old] sales ", "GI__OLD_Sales"])
def test_an_inquiry_with_brackets_in_its_title_is_found_by_it(
    box: Sandbox, setting: str, name: str
) -> None:
    for title in ("[OLD] Sales", "O Sales"):
        box.inquiries.add(Inquiry(title, "{Terms} t", "TermsID:s* = t.TermsID"))
    included = {"entities": ["O Sales", "GI__OLD_*"], setting: [name]}
    output = run(settings_for(box, **included))
    assert output.error is None
    streams = {message["stream"] for message in output.messages if message["type"] == "RECORD"}
    assert streams == {"GI__OLD_Sales" if setting == "entities" else "GI_O_Sales"}
