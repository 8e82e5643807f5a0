"""Discovers the streams that one tenant has and that the settings include.

Also checks that the names in the settings exist in at least one tenant.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Final

from tap_acumatica.catalog.deletions import STREAM
from tap_acumatica.discovery.deletions import discover_log
from tap_acumatica.discovery.entities import discover, expand_errors
from tap_acumatica.discovery.filters import PREFIXES, interfaces_of, is_pattern
from tap_acumatica.discovery.inquiries import discover_inquiries, stream_names
from tap_acumatica.discovery.left_out import say_what_is_left_out
from tap_acumatica.odata.addresses import DAC, INQUIRY, INTERFACES
from tap_acumatica.odata.errors import Action, AcumaticaError, DiscoveryError, RequestFailed
from tap_acumatica.odata.log import logger
from tap_acumatica.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.discovery.filters import DiscoverySettings
    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.model import Model
    from tap_acumatica.odata.service import Service

DISCOVERIES: Final[
    Mapping[str, Callable[[Model, DiscoverySettings], Iterator[StreamDescription]]]
] = {DAC: discover, INQUIRY: discover_inquiries}
"""The function that describes the streams of an interface, by interface."""

MAX_LISTED: Final = 140
"""Characters of names that are listed in a line of the log."""

PLURALS: Final[Mapping[str, str]] = {DAC: "entities", INQUIRY: "inquiries"}
"""What a check calls the contents of an interface."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """What one tenant has.

    Attributes:
        streams: The streams that the settings include.
        names: The names of all entities and inquiries, by interface: for each of them all names
            that the setting `entities` may use.
        protocols: The version of OData, by interface.
        date: The server's clock when it answered, or None if it was not asked.
        locale: The Locale cookie, which names the account's time zone, or None.
        missing: The error messages of interfaces that the tenant lacks.
        expand_errors: `Expansions.errors` of the streams, and of the entities in `expand`.
        models: The metadata, by interface.
    """

    streams: Sequence[StreamDescription]
    names: Mapping[str, Sequence[Sequence[str]]]
    protocols: Mapping[str, str]
    date: datetime | None
    locale: str | None
    missing: Sequence[str] = ()
    expand_errors: Sequence[Mapping[str, str | None]] = ()
    models: Mapping[str, Model] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The number of entities and of inquiries."""
        return {
            PLURALS[interface]: sum(aliases != (STREAM,) for aliases in names)
            for interface, names in self.names.items()
        }


def discovered(
    services: Mapping[str, Service],
    settings: DiscoverySettings,
    describe: Callable[[str, Service], Result[Model]],
    others: Iterable[Discovered] = (),
) -> Discovered:
    """Discover what one tenant has.

    Args:
        services: The tenant's services, by interface.
        settings: Which entities to discover.
        describe: Returns the metadata of an interface, from its service or from a file.
        others: What other tenants have: what comes of the same metadata is shared with them.

    Raises:
        AcumaticaError: The tenant has none of the interfaces, or one that it has fails.
    """
    results: dict[str, Result[Model]] = {}
    missing: list[AcumaticaError] = []
    for interface, service in services.items():
        if not settings.may_want(interface):
            continue
        try:
            results[interface] = describe(interface, service)
        except (DiscoveryError, RequestFailed) as failed:
            if isinstance(failed, RequestFailed) and failed.action is not Action.SKIP:
                raise
            missing.append(failed)
    if missing and not results:
        raise missing[0]
    for error in missing:
        logger.warning("%s The streams of this interface are left out.", error)
    models = {interface: result.content for interface, result in results.items()}
    same = next((other for other in others if _are_same(other.models, models)), None)
    return replace(
        same or _described(models, settings),
        date=next((result.date for result in results.values()), None),
        # Responses of OData 3 do not name the zone.
        locale=next((result.locale for result in results.values() if result.locale), None),
        missing=[str(error) for error in missing],
    )


def _are_same(models: Mapping[str, Model], others: Mapping[str, Model]) -> bool:
    return models.keys() == others.keys() and all(
        model is others[interface] for interface, model in models.items()
    )


def _described(models: Mapping[str, Model], settings: DiscoverySettings) -> Discovered:
    """Describe what metadata declare."""
    for interface, model in models.items():
        say_what_is_left_out(interface, model)
    names: dict[str, Sequence[Sequence[str]]] = {}
    if DAC in models:
        names[DAC] = [entity.names for entity in models[DAC].entities()]
    if INQUIRY in models:
        titles = (inquiry.title for inquiry in models[INQUIRY].inquiries())
        names[INQUIRY] = list(stream_names(titles).items())
    settings = settings.naming(
        name for group in names.values() for aliases in group for name in aliases
    )
    streams = [
        stream
        for interface, model in models.items()
        for stream in DISCOVERIES[interface](model, settings)
    ]
    if DAC in models and (log := list(discover_log(models[DAC], settings))):
        streams += log
        names[DAC] = [*names[DAC], (STREAM,)]
    errors = [stream.related.errors for stream in streams]
    return Discovered(
        streams=streams,
        names=names,
        protocols={interface: str(model.protocol) for interface, model in models.items()},
        date=None,
        locale=None,
        expand_errors=[*errors, expand_errors(models[DAC], settings)] if DAC in models else (),
        models=models,
    )


def require_asked_for(
    tenants: Collection[Discovered],
    settings: DiscoverySettings,
    interfaces: Collection[str],
    *,
    everywhere: bool,
    strict: bool,
) -> None:
    """Refuse names in `entities` that do not exist, or warn of them, as of globs without a match.

    Args:
        tenants: What each tenant has.
        settings: Which entities to discover.
        interfaces: The interfaces that the settings lead to.
        everywhere: Whether all tenants could be asked; if not, another one may have the name.
        strict: Whether a name that does not exist is an error.

    Raises:
        DiscoveryError: A name does not exist, or the settings include no stream.
    """
    names = _names_of(tenants)
    all_names = [name for group in names.values() for name in group]
    messages = {
        glob: _unmatched(glob, interfaces, all_names) for glob in settings.unmatched_globs(names)
    }
    lacking = settings.lacking(names)
    if lacking and DAC not in interfaces:
        messages["presets"], lacking = _presets_left_out(), []
    no_streams = not any(tenant.streams for tenant in tenants)
    refusals = [
        message
        for glob, message in messages.items()
        if no_streams or (strict and everywhere and not is_pattern(glob))
    ]
    if refusals:
        raise DiscoveryError(" ".join(refusals))
    if no_streams:
        message = (
            "The instance has no entity that matches entities, presets and exclude_entities: "
            "compare them with the catalog that --discover prints without these settings."
        )
        raise DiscoveryError(message)
    for message in messages.values():
        logger.warning("%s", message)
    if lacking:
        logger.info(
            "The instance lacks %d of the entities of the setting presets, which are left out: %s",
            len(lacking),
            shorten(", ".join(lacking), MAX_LISTED, placeholder=" ..."),
            extra={"lacking": lacking},
        )


def require_not_gone(
    lost: Collection[str], tenants: Collection[Discovered], settings: DiscoverySettings
) -> None:
    """Refuse to be without streams that the settings ask for and that the instance had before.

    Args:
        lost: The streams that earlier runs read and this one does not.
        tenants: What each tenant has.
        settings: Which entities to discover.

    Raises:
        DiscoveryError: One of the streams is gone from all tenants.
    """
    names = _names_of(tenants)
    gone = sorted(set(lost).difference(*names.values()))
    unmatched = [glob for glob in settings.unmatched_globs(names) if not is_pattern(glob)]
    # What was asked for by another name of the entity cannot be told any more.
    gone = [name for name in gone if unmatched or _asks_for(settings, name)]
    if gone:
        message = (
            f"The instance no longer has {', '.join(gone)}, which earlier runs read and the "
            "setting entities or presets asks for: correct or remove the name there, add it to "
            "exclude_entities, or remove the entry from the state if it is not needed any more."
        )
        raise DiscoveryError(message)


def may_ask_for(
    settings: DiscoverySettings, lost: Collection[str], names: Iterable[Sequence[str]]
) -> bool:
    """Whether `entities` may ask for one of these streams, as far as names alone can tell.

    Args:
        settings: Which entities to discover.
        lost: The streams that earlier runs read and this one does not.
        names: The names of each stream that is read.
    """
    if settings.entities is None or not lost:
        return False
    known = {end for group in names for name in group for end in _ends(name.lower())}
    others = [name for name in settings.required if not is_pattern(name)]
    return any(_asks_for(settings, name) for name in lost) or not known.issuperset(
        name.lower() for name in others
    )


def _asks_for(settings: DiscoverySettings, stream: str) -> bool:
    """Whether `entities` asks for a stream by its name, or by the end of it as an alias."""
    interface = INQUIRY if stream.lower().startswith(PREFIXES[INQUIRY]) else DAC
    return settings.entities is not None and settings.wants(_ends(stream), interface)


def _ends(name: str) -> set[str]:
    return {name, name.rpartition("_")[2]}


def _names_of(tenants: Iterable[Discovered]) -> dict[str, set[str]]:
    """Return the names of all entities and inquiries, by interface."""
    names: dict[str, set[str]] = {}
    for tenant in tenants:
        for interface, aliases in tenant.names.items():
            names.setdefault(interface, set()).update(*aliases)
    return names


def _presets_left_out() -> str:
    """Return the message for presets without the interface of their entities."""
    return (
        f"The setting presets asks for {INTERFACES[DAC]}, but the settings url and interfaces "
        "leave them out: change them, or remove the setting."
    )


def _unmatched(glob: str, interfaces: Collection[str], names: Collection[str]) -> str:
    """Return the message for a glob that matches no name."""
    left_out = [
        INTERFACES[interface] for interface in interfaces_of(glob) if interface not in interfaces
    ]
    if len(left_out) == len(interfaces_of(glob)):
        return (
            f"The setting entities asks for {glob}, but the settings url and interfaces leave "
            f"{left_out[0]} out: change them, or remove the name."
        )
    return (
        f"The setting entities asks for {glob}, but the instance has no such entity"
        f"{did_you_mean(glob, names)}: correct or remove it."
    )
