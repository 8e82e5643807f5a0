"""Logging: what the process may say, and the traffic with the server."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.masking import masking, shown, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import requests

logger: Final = logging.getLogger("tap-acumatica")

MAX_LOGGED_BODY: Final = 20_000
"""Characters of a body that are logged: Meltano hangs on a line over 64 KiB."""

REQUESTS = HEADERS = 2
WHOLE_URLS = BODIES = 3
TRANSPORT, EVERYTHING = 4, 5
"""The lowest verbosity at which each is logged."""

MAX_LOGGED_URL: Final = 160
"""Characters of a URL that are logged, unless `verbosity` asks for whole ones."""

_SELECT: Final = re.compile(r"((?:\$|%24)select=)([^&;)]*)", re.IGNORECASE)


def show_safely() -> None:
    """Mask secrets in all that this process logs, whichever handlers and formatters write it.

    That includes other libraries' records. Each message becomes one line without control
    characters, since it can quote a server.
    """
    # It writes a traceback into a warning, about any cookie that makes no sense.
    warnings.filterwarnings("ignore", "http.cookiejar bug")
    if not isinstance(logging.getLogRecordFactory(), _Records):
        logging.setLogRecordFactory(_Records(logging.getLogRecordFactory()))


class _Records:
    """Makes the log records of the process from those that another factory makes."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401 - logging's
        record = self._make(*args, **kwargs)
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the handlers report arguments that do not fit
            return record
        safe = shown(message)
        if safe != message:
            record.msg, record.args = safe, ()
        if logging.DEBUG < record.levelno < logging.ERROR:
            record.exc_info = None  # urllib3 has one beside its warnings of odd headers
        if record.exc_info and record.exc_info[0] is not None:
            trace = _FORMATTER.formatException(record.exc_info)
            safe = visible(masking.masked(trace), lines=True)
            if safe != trace:
                record.exc_text, record.exc_info = safe, None
        return record


_FORMATTER: Final = logging.Formatter()


def set_verbosity(verbosity: int) -> None:
    """Let other libraries log as much as the setting `verbosity` asks for."""
    # With verify_ssl false urllib3 would warn about every request.
    warnings.filterwarnings("once", "Unverified HTTPS request")
    if verbosity >= TRANSPORT:
        logging.getLogger("urllib3").setLevel(logging.DEBUG)
    if verbosity >= EVERYTHING:
        logging.getLogger().setLevel(logging.DEBUG)


@contextmanager
def silenced() -> Iterator[Callable[[int], None]]:
    """Log nothing, for a command that prints its own findings.

    Yields:
        A function that turns logging on again if the verbosity that it is given asks for headers
        or more.
    """
    loggers = (logger, logging.getLogger())
    levels = [muted.level for muted in loggers]

    def restore(verbosity: int = EVERYTHING) -> None:
        if verbosity >= HEADERS:
            for muted, level in zip(loggers, levels, strict=True):
                muted.setLevel(level)

    for muted in loggers:
        muted.setLevel(logging.CRITICAL)
    try:
        yield restore
    finally:
        restore()


def shown_url(url: str, verbosity: int) -> str:
    """Return a URL as it is logged: with the number of the columns that it selects, and shortened.

    Args:
        url: The URL.
        verbosity: The setting `verbosity`.
    """
    if verbosity >= WHOLE_URLS:
        return url
    # A secret across the cut is masked whole before the cut.
    url = masking.masked(_SELECT.sub(_number_of_columns, url))
    return url if len(url) <= MAX_LOGGED_URL else url[:MAX_LOGGED_URL] + "..."


def _number_of_columns(match: re.Match[str]) -> str:
    columns = re.split(r",|%2C", match[2], flags=re.IGNORECASE)
    return f"{match[1]}{len(columns)} column{'s' if len(columns) > 1 else ''}"


def log_exchange(response: requests.Response, content: bytes, verbosity: int) -> None:
    """Log a request and its response, with secret headers and fields masked by their names.

    Args:
        response: The response, whose body may not have been read to its end.
        content: The beginning of its body.
        verbosity: The setting `verbosity`.
    """
    if verbosity >= HEADERS:
        logger.info("Sent %s", _headers(response.request.headers))
        logger.info("Received %s %s", response.status_code, _headers(response.headers))
    if verbosity >= BODIES:
        if response.request.body:
            body = response.request.body
            text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
            logger.info("Sent body %s", _body(text))
        logger.info("Body %s", _body(content.decode("utf-8", "replace")))


def _body(text: str) -> str:
    # A secret across the cut is masked whole before the cut.
    return masking.masked_fields(text[: 2 * MAX_LOGGED_BODY])[:MAX_LOGGED_BODY]


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: masking.masked_header(name, value) for name, value in headers.items()}
