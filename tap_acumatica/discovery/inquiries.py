"""Generic inquiries as streams: names, keys, parameters and order.

What an inquiry's metadata declare as its key are the keys of all its source tables. They need not
tell its rows apart, so only the user can give it a key. Those that are no results are appended as
its last columns, and must be neither filtered nor sorted by: rows would come that the inquiry
itself leaves out (docs/acumatica.md, "Inquiries").
"""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from hashlib import sha256
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from tap_acumatica.catalog.entry import Schemas, StreamDescription
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import INQUIRY
from tap_acumatica.odata.errors import DiscoveryError, SettingsError
from tap_acumatica.odata.inquiry_call import call_of
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from singer_sdk.singerlib.catalog import CatalogEntry

    from tap_acumatica.catalog.entry import DiscoverySettings
    from tap_acumatica.odata.dialect import ODataVersion
    from tap_acumatica.odata.model import Inquiry, Model
    from tap_acumatica.odata.query import Call

Setting = TypeVar("Setting")

PREFIX: Final = "GI_"


def stream_names(titles: Iterable[str]) -> dict[str, str]:
    """The stream's name for each title.

    Titles that lead to one name, in whatever case, all get a suffix of their own: a new inquiry
    never takes another's name.
    """
    plain = {title: PREFIX + re.sub(r"\W+", "_", title) for title in titles}
    times = Counter(name.casefold() for name in plain.values())
    return {
        title: name if times[name.casefold()] == 1 else f"{name}_{_suffix(title)}"
        for title, name in plain.items()
    }


def _suffix(title: str) -> str:
    return sha256(title.encode()).hexdigest()[:8]


def setting_of_inquiry(settings: Mapping[str, Setting], stream: str, title: str) -> Setting | None:
    """What a setting says of an inquiry, by its stream's name or its title in whatever case."""
    names = {stream.casefold(), title.casefold()}
    return next((said for name, said in settings.items() if name.casefold() in names), None)


def discover_inquiries(model: Model, settings: DiscoverySettings) -> Iterator[StreamDescription]:
    """The streams of the interface of inquiries."""
    inquiries = list(model.inquiries())
    names = stream_names(inquiry.title for inquiry in inquiries)
    known = {name.casefold() for pair in names.items() for name in pair}
    for setting, given in (
        ("inquiry_keys", settings.inquiry_keys),
        ("inquiry_parameters", settings.inquiry_parameters),
    ):
        for name in given:
            if name.casefold() not in known:
                logger.warning(
                    "%s names %s, which is no inquiry here%s.",
                    setting,
                    name,
                    did_you_mean(name, [*names.values(), *names]),
                )
    for inquiry in inquiries:
        if settings.wants([names[inquiry.title], inquiry.title], INQUIRY):
            yield _describe(inquiry, names[inquiry.title], model, settings)


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


def _describe(
    inquiry: Inquiry, name: str, model: Model, settings: DiscoverySettings
) -> StreamDescription:
    types = {prop.name: prop.type for prop in inquiry.properties}
    schemas = Schemas(model, settings)
    columns = {prop.name: schemas.column(prop, required=False) for prop in inquiry.properties}
    key = _key(setting_of_inquiry(settings.inquiry_keys, name, inquiry.title) or (), name, types)
    last = appended(list(types), inquiry.key)
    return StreamDescription(
        name=name,
        table_name=f"{INQUIRY}/{model.protocol}/{inquiry.title}",
        schema={"type": "object", "properties": columns},
        key=key,
        replication_key=next(
            (
                column
                for column in settings.replication_keys
                if column in types.keys() - last and edm.TYPES.get(types[column]) is edm.INSTANT
            ),
            None,
        ),
        unsupported=frozenset(),
        singleton=False,
        selected=settings.entities is not None,
        types=types,
        declared_key=inquiry.key,
        appended=frozenset(last),
        function=signature(inquiry.function, inquiry.parameters),
    )


def _key(wanted: Sequence[str], stream: str, columns: Collection[str]) -> tuple[str, ...]:
    """The columns that the user names as the key, as the metadata spell them."""
    spelled = {name.casefold(): name for name in columns}
    for name in wanted:
        if name.casefold() not in spelled:
            message = (
                f"The inquiry {stream} has no column {name}, which inquiry_keys names"
                f"{did_you_mean(name, columns)}: correct the setting."
            )
            raise DiscoveryError(message)
    return tuple(dict.fromkeys(spelled[name.casefold()] for name in wanted))


def did_you_mean(name: str, names: Collection[str]) -> str:
    """A hint at names that are spelled alike."""
    close = get_close_matches(name, names, cutoff=0.5)
    return f" (but {', '.join(close)})" if close else ""


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


class Parameters:
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
