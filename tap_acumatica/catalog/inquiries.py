"""What a catalog entry says of an inquiry: its parameters, and by what it can be sorted."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import DiscoveryError, SettingsError
from tap_acumatica.odata.inquiry_call import call_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from singer_sdk.singerlib.catalog import CatalogEntry

    from tap_acumatica.odata.dialect import ODataVersion
    from tap_acumatica.odata.query import Call


Setting = TypeVar("Setting")


def setting_of_inquiry(settings: Mapping[str, Setting], stream: str, title: str) -> Setting | None:
    """What a setting says of an inquiry, by its stream's name or its title in whatever case."""
    names = {stream.casefold(), title.casefold()}
    return next((said for name, said in settings.items() if name.casefold() in names), None)


def require_inquiry_keys(
    entries: Iterable[CatalogEntry],
    settings: Mapping[str, Sequence[str]],
    tenant_column: str | None,
) -> None:
    """Refuse a catalog from before `inquiry_keys` was changed.

    Raises:
        DiscoveryError: An inquiry has another key in it.
    """
    for entry in entries:
        title = (entry.table or "").split("/", 2)[-1]
        wanted = setting_of_inquiry(settings, entry.tap_stream_id, title)
        key = [name for name in entry.key_properties or () if name != tenant_column]
        if wanted is not None and list(map(str.casefold, key)) != list(map(str.casefold, wanted)):
            message = (
                f"The catalog's key of {entry.tap_stream_id} is {key}, which does not fit the "
                "setting inquiry_keys: run discovery again."
            )
            raise DiscoveryError(message)


def appended(columns: Sequence[str], declared_key: Collection[str]) -> set[str]:
    """The last columns, if they are declared as keys: they may have been appended.

    The first column is a result for certain.
    """
    found: set[str] = set()
    for name in reversed(columns[1:]):
        if name not in declared_key:
            break
        found.add(name)
    return found


def sortable_columns(
    columns: Mapping[str, Mapping[str, Any]], declared_key: Collection[str]
) -> list[str]:
    """The result columns by which an inquiry without a key can be sorted.

    Args:
        columns: Their JSON Schemas, in the order of the metadata.
        declared_key: What the metadata declare as the key.
    """
    barred = appended(list(columns), declared_key)
    return [name for name, schema in columns.items() if name not in barred and _sorts(name, schema)]


def fit_length(names: Sequence[str], longest: int) -> tuple[str, ...]:
    """As many of the names, from the first, as fit into so many characters."""
    lengths = accumulate(len(quote(name)) + 1 for name in names)
    return tuple(name for name, length in zip(names, lengths, strict=True) if length <= longest)


def _sorts(name: str, schema: Mapping[str, Any]) -> bool:
    # What is no identifier cannot be written in $orderby.
    return name.isidentifier() and edm.from_schema(schema).sortable


def signature(function: str, parameters: Mapping[str, str]) -> str:
    """A function and the types of its parameters, as the catalog keeps them."""
    return f"{function}?{urlencode(parameters)}" if function else ""


class InquiryParameters:
    """The parameters of an inquiry, as the catalog has them, and their values from the settings."""

    def __init__(
        self, signed: str, stream: str, title: str, settings: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Take the signature apart.

        Args:
            signed: Empty where the inquiry has no parameters.
            stream: Name of the stream.
            title: Of the inquiry.
            settings: The setting inquiry_parameters.
        """
        self._function, _, types = signed.partition("?")
        self._types = dict(parse_qsl(types, keep_blank_values=True))
        self._stream = stream
        given = setting_of_inquiry(settings, stream, title) or {}
        spelled = {name.casefold(): name for name in self._types}
        self.values = {spelled.get(name.casefold(), name): value for name, value in given.items()}

    def call(self, protocol: ODataVersion) -> Call | None:
        """How they are given; None where there are none.

        Raises:
            SettingsError: Values are missing, too many, or of other types.
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
                f"The inquiry {self._stream} has no parameters, though inquiry_parameters gives "
                f"{', '.join(self.values)}: take its entry out."
            )
        listed = ", ".join(f"{name} ({kind})" for name, kind in self._types.items())
        return (
            f"The inquiry {self._stream} has other parameters than inquiry_parameters gives "
            f"({', '.join(self.values) or 'none'}), and would show wrong rows: give a value, or "
            f"null, for each of {listed}, or deselect the stream."
        )
