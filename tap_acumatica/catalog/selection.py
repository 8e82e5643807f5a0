"""Which streams of a catalog are selected, and whether that can be meant.

The rest of a wide catalog is neither built nor even read.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import INQUIRY, INTERFACES
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tap_acumatica.stream import EntityStream

MAX_STREAMS: Final = 200
"""Streams that are read without the user having named entities."""


class _Metadata(msgspec.Struct, gc=False):
    breadcrumb: list[str]
    metadata: msgspec.Raw


class _Stream(msgspec.Struct, gc=False):
    metadata: list[_Metadata] = []
    selected: bool | None = None


class _Catalog(msgspec.Struct, gc=False):
    streams: list[msgspec.Raw]


_CATALOG: Final = msgspec.json.Decoder(_Catalog)
_STREAM: Final = msgspec.json.Decoder(_Stream)
_ANY: Final = msgspec.json.Decoder(float_hook=Decimal)


def decode_selected(text: str | bytes) -> Any:  # noqa: ANN401 - whatever is in the file
    """The catalog in a text, without the streams that are not selected.

    Raises:
        msgspec.DecodeError: It is no JSON.
    """
    try:
        return {
            "streams": [
                _ANY.decode(stream)
                for stream in _CATALOG.decode(text).streams
                if _is_selected_in(_STREAM.decode(stream))
            ]
        }
    except msgspec.ValidationError:
        # Not as catalogs are: the SDK says what is wrong with it.
        return _ANY.decode(text)


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
    return _chosen(root, stream.get("selected"))


def _is_selected_in(stream: _Stream) -> bool:
    root = next((each.metadata for each in stream.metadata if not each.breadcrumb), None)
    return _chosen(_ANY.decode(root) if root else {}, stream.selected)


def _chosen(root: Mapping[str, Any], otherwise: bool | None) -> bool:  # noqa: FBT001 - as it came
    chosen = root.get("selected", root.get("selected-by-default"))
    return bool(otherwise if chosen is None else chosen)


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
    if selected > MAX_STREAMS and not named:
        message = (
            f"{selected} streams are selected, which is more than {MAX_STREAMS}: select "
            "fewer in the catalog, or name those that you want in the setting entities."
        )
        raise SettingsError(message)


def require_reached(streams: Iterable[EntityStream], interfaces: Collection[str]) -> None:
    """Refuse streams that the settings do not fit.

    Raises:
        SettingsError: A stream is of an interface that the settings leave out, an inquiry whose
            parameters are not given as they should be, or its replication key cannot be one.
    """
    for stream in streams:
        if stream.origin.interface not in interfaces:
            message = (
                f"The stream {stream.name} belongs to {INTERFACES[stream.origin.interface]}, "
                "which the settings url and interfaces do not lead to: change them, or deselect "
                "the stream."
            )
            raise SettingsError(message)
        table = stream.table()
        key = table.replication_key
        if key and table.columns.get(key) is not edm.INSTANT:
            message = (
                f"The replication key {key} of {stream.name} is no selected date-time column: "
                "select it, name another one in the catalog, or set its replication method to "
                "FULL_TABLE."
            )
            raise SettingsError(message)


def warn_of_selection(streams: Iterable[EntityStream], *, wants_atom: bool) -> None:
    """Warn once of what the user may not expect of these streams."""
    appended, others = [], []
    for stream in streams:
        if stream.origin.interface == INQUIRY and not stream.primary_keys:
            appended.append(stream.name)
        if wants_atom and stream.origin.protocol is not ODataVersion.V3:
            others.append(stream.name)
    if appended:
        logger.warning(
            "Inquiries without a key are appended to what the target has (%s): give them one "
            "with inquiry_keys where columns tell their rows apart.",
            ", ".join(appended),
        )
    if others:
        logger.warning(
            "%d streams are read as JSON in spite of data_format, since their services speak "
            "OData 4 (such as %s).",
            len(others),
            others[0],
        )
