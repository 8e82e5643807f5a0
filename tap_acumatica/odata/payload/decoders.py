"""The decoder for each payload format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.dialect import ATOM, JSON, Format
from tap_acumatica.odata.payload.atom import AtomDecoder
from tap_acumatica.odata.payload.json import JsonDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_acumatica.odata.payload.page import Decoder
    from tap_acumatica.odata.table import Table

DECODERS: Final[Mapping[Format, type[JsonDecoder | AtomDecoder]]] = {
    JSON: JsonDecoder,
    ATOM: AtomDecoder,
}


def decoder_for(table: Table, required: Iterable[str] = ()) -> Decoder:
    """Return the decoder for a table's response bodies.

    Args:
        table: The table to read.
        required: Columns without which a row cannot be read.
    """
    return DECODERS[table.format](table.entity_set, table.columns, required)
