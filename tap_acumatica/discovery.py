"""What one tenant has: the streams of its interfaces, as far as the settings can ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tap_acumatica.catalog import discover, expanded
from tap_acumatica.inquiries import discover_inquiries
from tap_acumatica.odata.errors import Action, AcumaticaError, DiscoveryError, RequestFailed
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.service import DAC, INQUIRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_acumatica.catalog import DiscoverySettings, StreamDescription
    from tap_acumatica.odata.client import Reply
    from tap_acumatica.odata.metadata import Model
    from tap_acumatica.odata.service import Service

DISCOVERIES: Final[
    Mapping[str, Callable[[Model, DiscoverySettings], Iterator[StreamDescription]]]
] = {DAC: discover, INQUIRY: discover_inquiries}
"""What makes streams of what an interface has."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """What one tenant has.

    Attributes:
        streams: Those that the settings ask for.
        counts: How many there are in all, by what they are called.
        protocols: The version of OData, by interface.
        date: The server's clock when it answered, or None where it was not asked.
        locale: The Locale cookie, which names the account's time zone, or None.
        missing: What is said of interfaces that are not there.
        named: What the setting `expand` names, as `Related.named`.
    """

    streams: Sequence[StreamDescription]
    counts: Mapping[str, int]
    protocols: Mapping[str, str]
    date: datetime | None
    locale: str | None
    missing: Sequence[str] = ()
    named: Sequence[Mapping[str, str | None]] = ()


def discovered(
    services: Mapping[str, Service],
    settings: DiscoverySettings,
    describe: Callable[[str, Service], Reply[Model]],
) -> Discovered:
    """Ask the services of one tenant what there is.

    Args:
        services: By interface.
        settings: What to discover.
        describe: Brings the metadata of an interface, be it from the service or from a file.

    Raises:
        AcumaticaError: None of the interfaces is there, or one that is there fails.
    """
    replies: dict[str, Reply[Model]] = {}
    missing: list[AcumaticaError] = []
    for interface, service in services.items():
        if not settings.may_want(interface):
            continue
        try:
            replies[interface] = describe(interface, service)
        except (DiscoveryError, RequestFailed) as failed:
            if isinstance(failed, RequestFailed) and failed.action is not Action.SKIP:
                raise
            missing.append(failed)
    if missing and not replies:
        raise missing[0]
    for left_out in missing:
        logger.warning("%s Its streams are left out.", left_out)
    models = {interface: reply.content for interface, reply in replies.items()}
    counts = {}
    if DAC in models:
        counts["entities"] = sum(1 for _ in models[DAC].entities())
    if INQUIRY in models:
        counts["inquiries"] = sum(1 for _ in models[INQUIRY].inquiries())
    streams = [
        stream
        for interface, model in models.items()
        for stream in DISCOVERIES[interface](model, settings)
    ]
    named = [stream.related.named for stream in streams]
    return Discovered(
        streams=streams,
        counts=counts,
        protocols={interface: str(model.protocol) for interface, model in models.items()},
        date=next((each.date for each in replies.values()), None),
        # Data of OData 3 do not name the zone.
        locale=next((each.locale for each in replies.values() if each.locale), None),
        missing=[str(each) for each in missing],
        named=[*named, expanded(models[DAC], settings)] if DAC in models else (),
    )
