"""Generic inquiries as streams: names, keys, parameters and order.

What an inquiry's metadata declare as its key are the keys of all its source tables. They need not
tell its rows apart, so only the user can give it a key. Those that are no results are appended as
its last columns, and must be neither filtered nor sorted by: rows would come that the inquiry
itself leaves out (docs/acumatica.md, "Inquiries").
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
        location=StreamLocation(INQUIRY, model.protocol, inquiry.title),
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
