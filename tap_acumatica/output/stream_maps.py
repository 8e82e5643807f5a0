"""Turns the SDK's errors about stream maps and flattening into settings errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from singer_sdk.exceptions import ConfigValidationError, MappingError

from tap_acumatica.odata.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def stream_map_errors() -> Iterator[None]:
    """Turn the SDK's stream-map errors in this block into a SettingsError.

    Raises:
        SettingsError: Stream maps or flattening cannot be used.
    """
    try:
        yield
    except MappingError as error:
        message = f"The setting stream_maps cannot be used ({error}): correct it."
        raise SettingsError(message) from error
    except ConfigValidationError as error:
        problems = "; ".join([str(error), *error.errors])
        message = f"The settings for flattening cannot be used ({problems}): correct them."
        raise SettingsError(message) from error
