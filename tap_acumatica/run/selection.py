"""Whether what is selected can be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import INTERFACES
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tap_acumatica.catalog.plan import StreamPlan


MAX_STREAMS: Final = 200
"""Streams that are read without the user having named entities."""


def require_sensible(selected: int, *, named: bool) -> None:
    """Refuse a selection that can hardly be meant.

    Args:
        selected: How many streams.
        named: Whether the setting entities names them.

    Raises:
        SettingsError: There are none, or too many.
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
            "fewer in the catalog, or name those that you want in the setting entities."
        )
        raise SettingsError(message)


def require_reached(plans: Iterable[StreamPlan], interfaces: Collection[str]) -> None:
    """Refuse streams that the settings do not fit.

    Raises:
        SettingsError: A stream is of an interface that the settings leave out, an inquiry whose
            parameters are not given as they should be, or its replication key cannot be one.
    """
    for plan in plans:
        if plan.location.interface not in interfaces:
            message = (
                f"The stream {plan.name} belongs to {INTERFACES[plan.location.interface]}, "
                "which the settings url and interfaces do not lead to: change them, or deselect "
                "the stream."
            )
            raise SettingsError(message)
        table = plan.table()
        key = table.replication_key
        if key and table.columns.get(key) is not edm.INSTANT:
            message = (
                f"The replication key {key} of {plan.name} is no selected date-time column: "
                "select it, name another one in the catalog, or set its replication method to "
                "FULL_TABLE."
            )
            raise SettingsError(message)


def warn_of_selection(plans: Sequence[StreamPlan]) -> None:
    """Warn once of what the user may not expect of these streams."""
    appended = [plan.name for plan in plans if plan.is_inquiry and not plan.key]
    in_json = [plan.name for plan in plans if plan.in_json_only]
    if appended:
        logger.warning(
            "Inquiries without a key are appended to what the target has (%s): give them one "
            "with inquiry_keys where columns tell their rows apart.",
            ", ".join(appended),
        )
    if in_json:
        logger.warning(
            "%d streams are read as JSON in spite of data_format, since their services speak "
            "OData 4 (such as %s).",
            len(in_json),
            in_json[0],
        )
