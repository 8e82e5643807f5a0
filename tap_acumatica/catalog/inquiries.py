"""The parameters and the sortable columns of an inquiry, from its catalog entry."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from tap_acumatica.odata.errors import DiscoveryError, SettingsError
from tap_acumatica.odata.inquiry_call import call_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from singer_sdk.singerlib.catalog import CatalogEntry

    from tap_acumatica.odata.dialect import ODataVersion
    from tap_acumatica.odata.edm import EdmType
    from tap_acumatica.odata.query import Call

Value = TypeVar("Value")


def setting_of_inquiry(settings: Mapping[str, Value], stream: str, title: str) -> Value | None:
    """Return a setting's value for an inquiry, named by its stream or its title in any case."""
    names = {stream.casefold(), title.casefold()}
    return next((value for name, value in settings.items() if name.casefold() in names), None)


def require_inquiry_keys(
    entries: Iterable[CatalogEntry],
    settings: Mapping[str, Sequence[str]],
    tenant_column: str | None,
) -> None:
    """Refuse a catalog that was made before `inquiry_keys` was changed.

    Raises:
        DiscoveryError: An inquiry has another key in the catalog.
    """
    for entry in entries:
        title = (entry.table or "").split("/", 2)[-1]
        configured = setting_of_inquiry(settings, entry.tap_stream_id, title)
        key = [name for name in entry.key_properties or () if name != tenant_column]
        if configured is None:
            continue
        if list(map(str.casefold, key)) != list(map(str.casefold, configured)):
            message = (
                f"The catalog's key of {entry.tap_stream_id} is {key}, which does not fit the "
                "setting inquiry_keys: run discovery again."
            )
            raise DiscoveryError(message)


def appended(columns: Sequence[str], declared_key: Collection[str]) -> set[str]:
    """Return the last columns, as far as they are declared as keys: they may have been appended.

    The first column is certainly a result.
    """
    names: set[str] = set()
    for name in reversed(columns[1:]):
        if name not in declared_key:
            break
        names.add(name)
    return names


def sortable_columns(columns: Mapping[str, EdmType], declared_key: Collection[str]) -> list[str]:
    """Return the result columns by which an inquiry without a key can be sorted.

    Args:
        columns: The types of all columns, in the order of the metadata.
        declared_key: The columns that the metadata declare as the key.
    """
    excluded = appended(list(columns), declared_key)
    return [
        name
        for name, edm_type in columns.items()
        # A name that is no identifier cannot be written in $orderby.
        if name not in excluded and name.isidentifier() and edm_type.sortable
    ]


def fit_length(names: Sequence[str], max_length: int) -> tuple[str, ...]:
    """Return the first names, as many as fit into this number of characters in a URL."""
    lengths = accumulate(len(quote(name)) + 1 for name in names)
    return tuple(name for name, length in zip(names, lengths, strict=True) if length <= max_length)


def signature(function: str, parameters: Mapping[str, str]) -> str:
    """Return a function and the types of its parameters, as the catalog holds them."""
    return f"{function}?{urlencode(parameters)}" if function else ""


class InquiryParameters:
    """An inquiry's parameters from the catalog, and their values from the settings."""

    def __init__(
        self, declared: str, stream: str, title: str, settings: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Parse the signature.

        Args:
            declared: The signature in the catalog; empty if the inquiry has no parameters.
            stream: Name of the stream.
            title: Title of the inquiry.
            settings: The setting inquiry_parameters.
        """
        self._function, _, types = declared.partition("?")
        self._types = dict(parse_qsl(types, keep_blank_values=True))
        self._stream = stream
        values = setting_of_inquiry(settings, stream, title) or {}
        spellings = {name.casefold(): name for name in self._types}
        self.values = {
            spellings.get(name.casefold(), name): value for name, value in values.items()
        }

    def call(self, protocol: ODataVersion) -> Call | None:
        """Return the function call that carries the parameters, or None if there are none.

        Raises:
            SettingsError: Values are missing, superfluous, or of the wrong type.
        """
        if self.values.keys() != self._types.keys():
            raise SettingsError(self._mismatch())
        if not self._types:
            return None
        try:
            return call_of(self._function, self._types, self.values, protocol)
        except ValueError as error:
            name = str(error)
            message = (
                f"The parameter {name} of the inquiry {self._stream} cannot be "
                f"{self.values[name]!r}, since it is of type {self._types[name]}: correct it in "
                "inquiry_parameters."
            )
            raise SettingsError(message) from error

    def _mismatch(self) -> str:
        if not self._types:
            return (
                f"The inquiry {self._stream} has no parameters, but inquiry_parameters sets "
                f"{', '.join(self.values)}: remove its entry."
            )
        listed = ", ".join(f"{name} ({type_name})" for name, type_name in self._types.items())
        return (
            f"The inquiry {self._stream} has other parameters than inquiry_parameters sets "
            f"({', '.join(self.values) or 'none'}), so it would return wrong rows: set a value, or "
            f"null, for each of {listed}, or deselect the stream."
        )
