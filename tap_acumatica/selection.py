"""Which streams of a catalog are selected, and whether that can be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_STREAMS: Final = 200
"""Streams that are read without the user having named entities."""


def only_selected(catalog: Any) -> Any:  # noqa: ANN401 - whatever the SDK takes
    """A catalog without the streams that are not selected, so that none is built in vain."""
    if not isinstance(catalog, dict):
        return catalog
    return {**catalog, "streams": [s for s in catalog.get("streams", []) if is_selected(s)]}


def is_selected(stream: Mapping[str, Any]) -> bool:
    """Whether a catalog entry is selected."""
    root: Mapping[str, Any] = next(
        (m["metadata"] for m in stream.get("metadata", []) if not m["breadcrumb"]), {}
    )
    chosen = root.get("selected", root.get("selected-by-default"))
    return bool(chosen) if chosen is not None else bool(stream.get("selected"))


def require_sensible(selected: int, *, named: bool) -> None:
    """Refuse a selection that can hardly be meant.

    Args:
        selected: How many streams.
        named: Whether the setting entities names them.

    Raises:
        SettingsError: There are none, or too many.
    """
    if not selected:
        message = (
            "No stream is selected: select streams in the catalog (in Meltano with select), or "
            "name them in the setting entities."
        )
        raise SettingsError(message)
    if selected > MOST_STREAMS and not named:
        message = (
            f"{selected} streams are selected, which is more than {MOST_STREAMS}: select "
            "fewer in the catalog, or name those that you want in the setting entities."
        )
        raise SettingsError(message)
