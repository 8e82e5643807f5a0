"""Reads the files that the command line names: settings, catalog and state."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tap_acumatica.catalog.selection import decode_selected
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.reading.reread import MELTANO

if TYPE_CHECKING:
    from collections.abc import Callable


def read_object(path: str) -> dict[str, Any]:
    """Return the JSON object in a file; the path `-` stands for standard input.

    Raises:
        SettingsError: The file cannot be read, or contains something else.
    """
    return _object(path, read_bytes(path), msgspec.json.decode)


def read_state(path: str) -> dict[str, Any]:
    """Return the state in a file.

    Raises:
        SettingsError: The file is empty; see also `read_object`.
    """
    content = read_bytes(path)
    if not content.strip():
        message = f"The file {path} is empty: leave --state out if there is no state yet."
        raise SettingsError(message)
    state = _object(path, content, msgspec.json.decode)
    # Meltano prints it beside its own name for it.
    state = state.get(MELTANO, state)
    return state if isinstance(state, dict) else {MELTANO: state}


def read_catalog(path: str) -> dict[str, Any]:
    """Return the catalog in a file, without the streams that are not selected.

    Raises:
        SettingsError: See `read_object`.
    """
    return _object(path, read_bytes(path), decode_selected)


def read_bytes(path: str) -> bytes:
    """Return the bytes of a file as UTF-8, whatever its byte order mark says.

    Args:
        path: The path; `-` stands for standard input.

    Raises:
        SettingsError: The file cannot be read, or is no text.
    """
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        encoding = json.detect_encoding(content)
        return content if encoding == "utf-8" else content.decode(encoding).encode()
    except OSError as error:
        message = f"The file {path} cannot be read ({error.strerror}): check its path."
        raise SettingsError(message) from error
    except ValueError as error:  # among them what is no path, or no text
        raise _no_json(path, error) from error


def _object(path: str, content: bytes, decode: Callable[[bytes], Any]) -> dict[str, Any]:
    try:
        decoded = decode(content)
    except (ValueError, RecursionError) as error:  # no JSON is a ValueError
        raise _no_json(path, error) from error
    if not isinstance(decoded, dict):
        message = f"The file {path} contains no JSON object: check whether it is the right file."
        raise SettingsError(message)
    return decoded


def _no_json(path: str, error: Exception) -> SettingsError:
    message = f"The file {path} contains no JSON ({error}): create it again, or correct it."
    return SettingsError(message)
