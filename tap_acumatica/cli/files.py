"""Reads the files that the command line names: settings, catalog and state."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tap_acumatica.catalog.selection import decode_selected
from tap_acumatica.odata.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable


def read_object(file: str | IO[str]) -> dict[str, Any]:
    """Return the JSON object in a file, given by its path or already open.

    Raises:
        SettingsError: The file cannot be read, or contains something else.
    """
    return _read(file, msgspec.json.decode)


def read_catalog(file: IO[str]) -> dict[str, Any]:
    """Return the catalog in a file, without the streams that are not selected.

    Raises:
        SettingsError: See `read_object`.
    """
    return _read(file, decode_selected)


def _read(file: str | IO[str], decode: Callable[[bytes | str], Any]) -> dict[str, Any]:
    name = file if isinstance(file, str) else file.name
    try:
        content = decode(Path(file).read_bytes() if isinstance(file, str) else file.read())
    except OSError as error:
        message = f"The file {name} cannot be read ({error.strerror}): check its path."
        raise SettingsError(message) from error
    except (ValueError, RecursionError) as error:  # among them what is no path, or no JSON
        message = f"The file {name} contains no JSON ({error}): create it again, or correct it."
        raise SettingsError(message) from error
    if not isinstance(content, dict):
        message = f"The file {name} contains no JSON object: check whether it is the right file."
        raise SettingsError(message)
    return content
