"""Stream maps and flattening are the SDK's: what it says of them becomes a sentence of ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from singer_sdk.exceptions import ConfigValidationError, MappingError

from tap_acumatica.odata.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def stream_map_errors() -> Iterator[None]:
    """Whatever makes or uses the maps.

    Raises:
        SettingsError: They cannot be used.
    """
    try:
        yield
    except MappingError as error:
        message = f"The setting stream_maps cannot be used ({error}): correct it."
        raise SettingsError(message) from error
    except ConfigValidationError as error:
        said = "; ".join([str(error), *error.errors])
        message = f"The settings of flattening cannot be used ({said}): correct them."
        raise SettingsError(message) from error
