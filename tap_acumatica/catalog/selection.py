"""The selected streams of a catalog; the rest of a wide catalog is neither built nor decoded."""

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
    tap_stream_id: str = ""
    metadata: list[_Metadata] = []
    selected: bool | None = None


class _Catalog(msgspec.Struct, gc=False):
    streams: list[msgspec.Raw]


NAMES: Final = "names"
"""Key of the names of all streams, beside the streams that are selected."""

_CATALOG: Final = msgspec.json.Decoder(_Catalog)
_STREAM: Final = msgspec.json.Decoder(_Stream)
_ANY: Final = msgspec.json.Decoder(float_hook=Decimal)


def decode_selected(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    """Decode the catalog in a text, without the streams that are not selected.

    The names of all streams are kept, as `NAMES`.

    Raises:
        msgspec.DecodeError: The text is no JSON.
    """
    try:
        streams = [(_STREAM.decode(raw), raw) for raw in _CATALOG.decode(text).streams]
        return {
            "streams": [_ANY.decode(raw) for stream, raw in streams if _is_stream_selected(stream)],
            NAMES: [stream.tap_stream_id for stream, _ in streams],
        }
    except msgspec.ValidationError:
        # It does not have the shape of a catalog: the tap says what is wrong (given.py).
        return _ANY.decode(text)


def names_in(catalog: Mapping[str, Any]) -> list[str]:
    """Return the names of all streams of a catalog, selected or not."""
    return catalog.get(NAMES) or [stream["tap_stream_id"] for stream in catalog["streams"]]


def only_selected(catalog: Mapping[str, Any]) -> dict[str, Any]:
    """Return a catalog without the streams that are not selected, so that they are not built."""
    streams = [stream for stream in catalog["streams"] if is_selected(stream)]
    return {**catalog, "streams": streams}


def is_selected(stream: Mapping[str, Any]) -> bool:
    """Whether a catalog entry is selected."""
    root: Mapping[str, Any] = next(
        (node["metadata"] for node in stream.get("metadata", []) if not node["breadcrumb"]), {}
    )
    return _resolve(root, stream.get("selected"))


def _is_stream_selected(stream: _Stream) -> bool:
    root = next((node.metadata for node in stream.metadata if not node.breadcrumb), None)
    return _resolve(_ANY.decode(root) if root else {}, stream.selected)


def _resolve(root: Mapping[str, Any], fallback: bool | None) -> bool:  # noqa: FBT001 - as decoded
    selected = root.get("selected", root.get("selected-by-default"))
    return bool(fallback if selected is None else selected)
