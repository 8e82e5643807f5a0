"""Generic inquiries as streams: names, keys, parameters and order.

An inquiry's metadata declare the keys of all its source tables as its key. They need not identify
its rows, so only the user can give it a key. Key columns that are no results are appended as the
last columns, and must be neither filtered nor sorted by: the server would send rows that the
inquiry itself leaves out (docs/acumatica.md, "Inquiries").
"""

from __future__ import annotations

import re
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tap_acumatica.catalog.entry import StreamDescription
from tap_acumatica.catalog.inquiries import appended, setting_of_inquiry, signature
from tap_acumatica.catalog.location import StreamLocation
from tap_acumatica.discovery.schemas import Schemas
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import INQUIRY
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.log import logger
from tap_acumatica.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tap_acumatica.discovery.filters import DiscoverySettings
    from tap_acumatica.odata.model import Inquiry, Model

PREFIX: Final = "GI_"
"""Prefix of the stream names of inquiries."""


def stream_names(titles: Iterable[str]) -> dict[str, str]:
    """Return the stream name for each title.

    Titles that would get the same name, regardless of case, each get a suffix, so that a new
    inquiry never takes the name of another one.
    """
    plain = {title: PREFIX + re.sub(r"\W+", "_", title) for title in titles}
    counts = Counter(name.casefold() for name in plain.values())
    return {
        title: name if counts[name.casefold()] == 1 else f"{name}_{_suffix(title)}"
        for title, name in plain.items()
    }


def _suffix(title: str) -> str:
    return sha256(title.encode()).hexdigest()[:8]


def discover_inquiries(model: Model, settings: DiscoverySettings) -> Iterator[StreamDescription]:
    """Describe the streams of the inquiry interface."""
    inquiries = list(model.inquiries())
    names = stream_names(inquiry.title for inquiry in inquiries)
    known = {name.casefold() for pair in names.items() for name in pair}
    for setting, configured in (
        ("inquiry_keys", settings.inquiry_keys),
        ("inquiry_parameters", settings.inquiry_parameters),
    ):
        for name in configured:
            if name.casefold() not in known:
                logger.warning(
                    "The setting %s names %s, but the instance has no such inquiry%s.",
                    setting,
                    name,
                    did_you_mean(name, [*names.values(), *names]),
                )
    schemas = Schemas(model, settings)
    for inquiry in inquiries:
        if settings.wants([names[inquiry.title], inquiry.title], INQUIRY):
            yield _describe(inquiry, names[inquiry.title], model, settings, schemas)
    schemas.warn_of_unknown_types()


def _describe(
    inquiry: Inquiry, name: str, model: Model, settings: DiscoverySettings, schemas: Schemas
) -> StreamDescription:
    types = {prop.name: schemas.declared(prop) for prop in inquiry.properties}
    columns = {prop.name: schemas.column(prop, required=False) for prop in inquiry.properties}
    key = _key(setting_of_inquiry(settings.inquiry_keys, name, inquiry.title) or (), name, types)
    appended_columns = appended(list(types), inquiry.key)
    return StreamDescription(
        name=name,
        location=StreamLocation(INQUIRY, model.protocol, inquiry.title),
        schema={"type": "object", "properties": columns},
        key=key,
        replication_key=next(
            (
                column
                for column in settings.replication_keys
                if column in types.keys() - appended_columns
                and edm.TYPES.get(types[column]) is edm.INSTANT
            ),
            None,
        ),
        unsupported=frozenset(),
        singleton=False,
        selected=settings.entities is not None,
        types=types,
        declared_key=inquiry.key,
        appended=frozenset(appended_columns),
        function=signature(inquiry.function, inquiry.parameters),
    )


def _key(names: Sequence[str], stream: str, columns: Collection[str]) -> tuple[str, ...]:
    """Return the key that the user configured, as the metadata spell its columns."""
    spellings = {name.casefold(): name for name in columns}
    for name in names:
        if name.casefold() not in spellings:
            message = (
                f"The inquiry {stream} has no column {name}, which inquiry_keys names"
                f"{did_you_mean(name, columns)}: correct the setting."
            )
            raise DiscoveryError(message)
    return tuple(dict.fromkeys(spellings[name.casefold()] for name in names))
