"""Checks of the selected streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import INTERFACES
from tap_acumatica.odata.edm import Conversion
from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tap_acumatica.catalog.plan import StreamPlan

MAX_STREAMS: Final = 200
"""Maximum number of selected streams if the setting entities does not name any."""


def require_sensible(selected: int, *, named: bool) -> None:
    """Refuse a selection that is empty, or too large to be intended.

    Args:
        selected: Number of selected streams.
        named: Whether the setting entities names them.

    Raises:
        SettingsError: No stream is selected, or too many are.
    """
    if not selected:
        message = (
            "No stream is selected: select streams in the catalog (in Meltano with select), or "
            "name them in the setting entities."
        )
        raise SettingsError(message)
    if selected > MAX_STREAMS and not named:
        message = (
            f"{selected} streams are selected, which is more than {MAX_STREAMS}: select "
            "fewer in the catalog, or name the streams to read in the setting entities."
        )
        raise SettingsError(message)


def require_readable(plans: Iterable[StreamPlan], interfaces: Collection[str]) -> None:
    """Refuse streams that cannot be read with the settings.

    Raises:
        AcumaticaError: A stream belongs to an interface that the settings exclude, an inquiry's
            parameters are wrong or missing, or key or replication key are not selected; the
            message has a sentence for each stream.
    """
    errors: list[AcumaticaError] = []
    for plan in plans:
        try:
            _require_readable(plan, interfaces)
        except AcumaticaError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SettingsError(" ".join(map(str, errors)))


def _require_readable(plan: StreamPlan, interfaces: Collection[str]) -> None:
    if plan.location.interface not in interfaces:
        message = (
            f"The stream {plan.name} belongs to {INTERFACES[plan.location.interface]}, "
            "which the settings url and interfaces exclude: change them, or deselect the "
            "stream."
        )
        raise SettingsError(message)
    table = plan.table()
    key = table.replication_key
    if key and not (key in table.columns and table.columns[key].is_instant):
        message = (
            f"The replication key {key} of {plan.name} is not a selected date-time column: "
            "select it, name another one in the catalog, or set the replication method to "
            "FULL_TABLE."
        )
        raise SettingsError(message)


def require_all_tenants(plans: Iterable[StreamPlan], known: Sequence[str]) -> None:
    """Refuse to retire the rows of tenants that a run with ACTIVATE_VERSION does not read.

    Args:
        plans: The plans of the streams to read.
        known: The tenants of which the state holds bookmarks.

    Raises:
        SettingsError: A stream is read in full, and the state knows further tenants.
    """
    for plan in plans:
        others = [tenant for tenant in known if tenant not in plan.settings.tenants]
        if others and not plan.incremental:
            message = (
                f"The state knows the tenant {others[0]}, which is not in the setting tenants, and "
                f"emit_activate_version_messages would retire its rows of {plan.name} in the "
                "target: name all tenants of the target's tables, unset that setting, or remove "
                "the tenant from the state if its rows may go."
            )
            raise SettingsError(message)


def warn_of_selection(plans: Sequence[StreamPlan]) -> None:
    """Warn of how these streams are read where a user may not expect it."""
    appended = [plan.name for plan in plans if plan.is_inquiry and not plan.key]
    in_json = [plan.name for plan in plans if plan.in_json_only]
    if appended:
        logger.warning(
            "Records of inquiries without a key are appended to those in the target (%s): set "
            "inquiry_keys if columns identify their rows.",
            ", ".join(appended),
        )
    if in_json:
        logger.warning(
            "%d of the streams are read as JSON in spite of data_format, since their services use "
            "OData 4 (such as %s).",
            len(in_json),
            in_json[0],
        )


def warn_of_old_decimals(plans: Iterable[StreamPlan], decimals: edm.Schema) -> None:
    """Warn of a catalog that was made before the setting `decimals` was set.

    Doubles are JSON numbers whatever the setting says, so that one column of decimals as it says
    is enough to know the catalog for a later one.

    Args:
        plans: The streams to read.
        decimals: JSON Schema of decimals according to the setting.
    """
    if decimals == edm.NUMBER.schema:
        return
    types = [column for plan in plans for column in plan.table().columns.values()]
    conversions = {edm_type.conversion for edm_type in types if edm_type.written is None}
    if Conversion.DECIMAL in conversions and Conversion.DECIMAL_TEXT not in conversions:
        logger.warning(
            "The catalog has all decimals as JSON numbers, which the setting decimals does not "
            "change: run discovery again."
        )
