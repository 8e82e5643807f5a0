"""What one tenant has: the streams of its interfaces, as far as the settings can ask for them.

And whether what they ask for by name is there in any of the tenants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tap_acumatica.discovery.entities import discover, expanded
from tap_acumatica.discovery.filters import interfaces_of
from tap_acumatica.discovery.inquiries import discover_inquiries, stream_names
from tap_acumatica.odata.addresses import DAC, INQUIRY, INTERFACES
from tap_acumatica.odata.errors import Action, AcumaticaError, DiscoveryError, RequestFailed
from tap_acumatica.odata.log import logger
from tap_acumatica.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.discovery.filters import DiscoverySettings
    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.model import Model
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
        names: All that there is, by interface, each by what entities may call it.
        protocols: The version of OData, by interface.
        date: The server's clock when it answered, or None where it was not asked.
        locale: The Locale cookie, which names the account's time zone, or None.
        missing: What is said of interfaces that are not there.
        named: What the setting `expand` names, as `Related.named`.
    """

    streams: Sequence[StreamDescription]
    names: Mapping[str, Sequence[Sequence[str]]]
    protocols: Mapping[str, str]
    date: datetime | None
    locale: str | None
    missing: Sequence[str] = ()
    named: Sequence[Mapping[str, str | None]] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many there are in all, by what they are called."""
        return {CALLED[interface]: len(there) for interface, there in self.names.items()}


CALLED: Final[Mapping[str, str]] = {DAC: "entities", INQUIRY: "inquiries"}


def discovered(
    services: Mapping[str, Service],
    settings: DiscoverySettings,
    describe: Callable[[str, Service], Result[Model]],
) -> Discovered:
    """Ask the services of one tenant what there is.

    Args:
        services: By interface.
        settings: What to discover.
        describe: Brings the metadata of an interface, be it from the service or from a file.

    Raises:
        AcumaticaError: None of the interfaces is there, or one that is there fails.
    """
    replies: dict[str, Result[Model]] = {}
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
    names: dict[str, Sequence[Sequence[str]]] = {}
    if DAC in models:
        names[DAC] = [each.names for each in models[DAC].entities()]
    if INQUIRY in models:
        titles = (each.title for each in models[INQUIRY].inquiries())
        names[INQUIRY] = list(stream_names(titles).items())
    streams = [
        stream
        for interface, model in models.items()
        for stream in DISCOVERIES[interface](model, settings)
    ]
    named = [stream.related.named for stream in streams]
    return Discovered(
        streams=streams,
        names=names,
        protocols={interface: str(model.protocol) for interface, model in models.items()},
        date=next((each.date for each in replies.values()), None),
        # Data of OData 3 do not name the zone.
        locale=next((each.locale for each in replies.values() if each.locale), None),
        missing=[str(each) for each in missing],
        named=[*named, expanded(models[DAC], settings)] if DAC in models else (),
    )


def require_asked_for(
    found: Collection[Discovered],
    settings: DiscoverySettings,
    interfaces: Collection[str],
    *,
    everywhere: bool,
) -> None:
    """Refuse names in `entities` that nothing has; a glob may fit nothing, with a warning.

    Args:
        found: What the tenants have.
        settings: What to discover.
        interfaces: Those that the settings lead to.
        everywhere: Whether all tenants could be asked; otherwise a name may be in another one.

    Raises:
        DiscoveryError: A name is not there, or nothing that is asked for.
    """
    names: dict[str, set[str]] = {}
    for each in found:
        for interface, there in each.names.items():
            names.setdefault(interface, set()).update(name for several in there for name in several)
    unmet = {
        glob: _unmet(glob, interfaces, [name for of_it in names.values() for name in of_it])
        for glob in settings.unmatched_globs(names)
    }
    nothing = not any(each.streams for each in found)
    refused = [
        sentence
        for glob, sentence in unmet.items()
        if nothing or (everywhere and not is_pattern(glob))
    ]
    if refused:
        raise DiscoveryError(" ".join(refused))
    if nothing:
        message = (
            "The instance has no entity that fits entities and exclude_entities: compare them "
            "with the catalog that --discover prints without these settings."
        )
        raise DiscoveryError(message)
    for sentence in unmet.values():
        logger.warning("%s", sentence)


def is_pattern(glob: str) -> bool:
    """Whether it may fit several names."""
    return any(sign in glob for sign in "*?[")


def _unmet(glob: str, interfaces: Collection[str], names: Collection[str]) -> str:
    left_out = [INTERFACES[each] for each in interfaces_of(glob) if each not in interfaces]
    if len(left_out) == len(interfaces_of(glob)):
        return (
            f"The setting entities asks for {glob}, but the settings url and interfaces leave "
            f"{left_out[0]} out: change them, or take it out."
        )
    return (
        f"The setting entities asks for {glob}, but the instance has no such entity"
        f"{did_you_mean(glob, names)}: correct it, or take it out."
    )
