"""Says what metadata declare and the catalog leaves out: a line for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.odata.addresses import INQUIRY, INTERFACES
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from tap_acumatica.odata.model import Model


def say_what_is_left_out(interface: str, model: Model) -> None:
    """Log what the metadata of an interface declare and no setting can include."""
    undeclared = [each.name for each in model.sets if each.entity_type not in model.types]
    if undeclared:
        logger.warning(
            "%d entity sets of %s are left out, since the metadata do not declare their types "
            "(such as %s).",
            len(undeclared),
            INTERFACES[interface],
            undeclared[0],
        )
    read = {base.name for each in model.sets for base in model.bases(each.entity_type)}
    used = sum(bool(each.function) for each in model.inquiries()) if interface == INQUIRY else 0
    overloads = sum(len(functions) - 1 for functions in model.functions.values())
    counts = {
        "entity types without an entity set": len(model.types.keys() - read),
        "navigation properties (expand reads those that it names)": sum(
            len(each.navigations) for each in model.types.values()
        ),
        "functions and actions": model.operations + overloads + len(model.imports) - used,
    }
    kinds = [f"{count:,} {kind}" for kind, count in counts.items() if count]
    if kinds:
        logger.info("Left out of %s: %s.", INTERFACES[interface], ", ".join(kinds))
