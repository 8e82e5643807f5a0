"""The streams of the DAC interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.catalog.entry import StreamDescription
from tap_acumatica.catalog.location import StreamLocation
from tap_acumatica.discovery.filters import lower_names
from tap_acumatica.discovery.relations import ExpansionResolver
from tap_acumatica.discovery.schemas import Schemas
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_acumatica.discovery.filters import DiscoverySettings
    from tap_acumatica.odata.model import Entity, Model


def discover(model: Model, settings: DiscoverySettings) -> Iterator[StreamDescription]:
    """Describe the streams of the DAC interface."""
    schemas = Schemas(model, settings)
    for entity in model.entities():
        if settings.wants(entity.names, DAC):
            yield _describe(entity, model, settings, schemas)
    schemas.warn_of_unknown_types()


def expand_errors(model: Model, settings: DiscoverySettings) -> dict[str, str | None]:
    """Return the error message, or None, for each entity in the setting `expand`."""
    unknown = {name.lower(): name for name in settings.expand}
    for entity in model.entities() if unknown else ():
        for name in lower_names(entity) & unknown.keys():
            spelling = unknown.pop(name)
            if not settings.wants(entity.names, DAC):
                logger.warning(
                    "The setting expand names %s, which entities or exclude_entities leaves out.",
                    spelling,
                )
    errors: dict[str, str | None] = dict.fromkeys(settings.expand)
    for name in unknown.values():
        message = (
            f"The setting expand names {name}, but the instance has no such entity: correct it, "
            "using a name that --discover prints."
        )
        errors[name] = message
    return errors


def _describe(
    entity: Entity, model: Model, settings: DiscoverySettings, schemas: Schemas
) -> StreamDescription:
    types = {prop.name: schemas.declared(prop) for prop in entity.properties}
    key = entity.key
    unusable = [name for name in key if name in entity.restricted or name not in types]
    if unusable:
        logger.warning(
            "%s is read in full and without a key, since its key column %s may not be queried.",
            entity.name,
            ", ".join(sorted(unusable)),
        )
    readable = not unusable and not entity.singleton
    columns = {
        prop.name: schemas.column(prop, required=readable and prop.name in key)
        for prop in entity.properties
    }
    resolver = ExpansionResolver(model, lambda prop: schemas.column(prop, required=False))
    related = resolver.of(entity, settings.expansions(entity))
    columns |= related.columns
    return StreamDescription(
        name=entity.name,
        location=StreamLocation(DAC, model.protocol, entity.name, related.expansions),
        schema={"type": "object", "properties": columns},
        key=key if readable else (),
        replication_key=next(
            (
                name
                for name in settings.replication_keys
                if readable
                and name not in entity.restricted
                and edm.TYPES.get(types.get(name, "")) is edm.INSTANT
            ),
            None,
        ),
        unsupported=entity.restricted,
        singleton=entity.singleton,
        selected=settings.entities is not None,
        types=types,
        related=related,
    )
