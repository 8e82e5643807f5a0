"""Turns the SDK's errors about stream maps and flattening into settings errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, MappingError
from singer_sdk.mapper import CustomStreamMap

from tap_acumatica.odata.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from singer_sdk.mapper import StreamMap


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


def name_expressions(stream_maps: Iterable[StreamMap]) -> None:
    """Have expressions that fail on a row, in whatever way, named by a MapExpressionError."""
    for stream_map in stream_maps:
        if isinstance(stream_map, CustomStreamMap):
            named = _named(stream_map._eval, stream_map.stream_alias)  # noqa: SLF001 - no other hook
            stream_map._eval = named  # type: ignore[method-assign] # noqa: SLF001 - as above


def _named(evaluate: Callable[..., Any], stream: str) -> Callable[..., Any]:
    def evaluate_named(expr: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the SDK's
        try:
            return evaluate(expr, *arguments, **named)
        except Exception as error:
            cause = error.__cause__ if isinstance(error, MapExpressionError) else error
            message = f"{expr!r} failed on a row of {stream}: {cause or error}"
            raise MapExpressionError(message) from error

    return evaluate_named
