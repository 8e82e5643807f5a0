"""Which streams of a catalog are selected, and whether that can be meant.

The rest of a wide catalog is neither built nor even read.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


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
