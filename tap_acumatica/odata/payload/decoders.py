"""The decoder for each payload format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.odata.dialect import ATOM
from tap_acumatica.odata.payload.json import JsonDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_acumatica.odata.payload.page import Decoder
    from tap_acumatica.odata.table import Table


def decoder_for(table: Table, required: Iterable[str] = ()) -> Decoder:
    """Return the decoder for a table's response bodies.

    Args:
        table: The table to read.
        required: Columns without which a row cannot be read.
    """
    if table.format is ATOM:
        # Imported on demand: others need no XML.
        from tap_acumatica.odata.payload.atom import AtomDecoder  # noqa: PLC0415

        return AtomDecoder(table.entity_set, table.columns, required)
    return JsonDecoder(table.entity_set, table.columns, required, table.written)
