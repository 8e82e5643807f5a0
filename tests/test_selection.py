"""What is selected, and what can hardly be meant."""

from __future__ import annotations

from typing import Any

import pytest

from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.selection import MOST_STREAMS, is_selected, only_selected, require_sensible


def entry(name: str, metadata: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    nodes = [] if metadata is None else [{"breadcrumb": [], "metadata": metadata}]
    return {"tap_stream_id": name, "metadata": nodes, **more}


@pytest.mark.parametrize(
    ("stream", "selected"),
    [
        (entry("S", {"selected": True}), True),
        (entry("S", {"selected": False, "selected-by-default": True}), False),
        (entry("S", {"selected-by-default": True}), True),
        (entry("S", {}), False),
        (entry("S", None, selected=True), True),
        (entry("S", None), False),
    ],
)
def test_the_metadata_decides_and_then_the_entry(stream: dict[str, Any], selected: bool) -> None:
    assert is_selected(stream) == selected


def test_of_a_catalog_only_what_is_selected_is_kept() -> None:
    chosen = entry("A", {"selected": True})
    catalog = {"streams": [chosen, entry("B", {"selected": False})], "version": 1}
    assert only_selected(catalog) == {"streams": [chosen], "version": 1}
    assert only_selected(None) is None


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(SettingsError, match="No stream is selected"):
        require_sensible(0, named=True)
    require_sensible(MOST_STREAMS, named=False)
    with pytest.raises(SettingsError, match="which is more than 200"):
        require_sensible(MOST_STREAMS + 1, named=False)
    require_sensible(MOST_STREAMS + 1, named=True)
