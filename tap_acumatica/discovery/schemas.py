"""JSON Schemas of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from tap_acumatica.discovery.filters import DiscoverySettings
    from tap_acumatica.odata.model import Model, Property

MAX_TYPE_DEPTH: Final = 5
"""Maximum depth of nested complex types; deeper ones become text."""

MAX_NESTED_COLUMNS: Final = 1000
"""Maximum number of properties of the complex types in one column; further ones become text."""


class Schemas:
    """Makes JSON Schemas of columns; all but keys are nullable, even if declared otherwise."""

    def __init__(self, model: Model, settings: DiscoverySettings) -> None:
        self._model = model
        self._enums = frozenset(model.enums)
        self._settings = settings
        self._columns_left = 0
        self._unknown: dict[str, str] = {}
        """The first column of each type that is read as text."""
        self._column = ""

    def column(self, prop: Property, *, required: bool) -> dict[str, Any]:
        """Return the schema of a property."""
        self._columns_left = MAX_NESTED_COLUMNS
        self._column = prop.name
        schema = self._of(prop.type, depth=0)
        if not required:
            schema["type"] = [schema["type"], "null"]
        if prop.label and prop.label != prop.name:
            schema["title"] = prop.label
        return schema

    def _of(self, type_name: str, depth: int) -> dict[str, Any]:
        edm_type = edm.TYPES.get(type_name)
        if edm_type is edm.NUMBER:
            return dict(self._settings.decimals)
        if edm_type:
            return dict(edm_type.schema)
        item = edm.collection_of(type_name)
        if item and depth < MAX_TYPE_DEPTH:
            items = self._of(item, depth + 1)
            return {"type": "array", "items": {**items, "type": [items["type"], "null"]}}
        if type_name in self._enums:
            return dict(edm.STRING.schema)
        is_complex = type_name in self._model.complex_types and depth < MAX_TYPE_DEPTH
        inner = self._model.properties(type_name) if is_complex else ()
        if 0 < len(inner) <= self._columns_left:
            self._columns_left -= len(inner)
            properties = {}
            for prop in inner:
                schema = self._of(prop.type, depth + 1)
                properties[prop.name] = {**schema, "type": [schema["type"], "null"]}
            return {"type": "object", "properties": properties}
        self._unknown.setdefault(type_name, self._column)
        return dict(edm.UNKNOWN.schema)

    def declared(self, prop: Property) -> str:
        """Return the name of a property's type, that of text for what is sent as text."""
        return "Edm.String" if prop.type in self._enums else prop.type

    def warn_of_unknown_types(self) -> None:
        """Say once that there are types whose values are read as text."""
        if self._unknown:
            type_name, column = next(iter(self._unknown.items()))
            logger.warning(
                "Values of %d types are read as text, since they are unknown or too deep (such as "
                "the type %.100s of the column %.100s).",
                len(self._unknown),
                type_name or "''",
                column,
            )
