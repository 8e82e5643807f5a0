"""Logging: the traffic with the server, with secrets masked."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from typing_extensions import override

from tap_acumatica.odata.urls import READABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import requests

logger: Final = logging.getLogger("tap-acumatica")

MASK: Final = "***"
SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "set-cookie"})
SECRET_FIELDS: Final = re.compile(
    r"""\b((?:password|client_secret|client_assertion|refresh_token|access_token|id_token|token|code"""
    r"""|code_verifier)(?:=|"\s*:\s*"))[^&"\s]+"""
)
"""Matches fields that always hold a secret, in a form, a URL or a JSON object."""

MAX_LOGGED_BODY: Final = 20_000
"""Characters of a body that are logged: Meltano hangs on a line over 64 KiB."""

HEADERS, BODIES, TRANSPORT, EVERYTHING = 2, 3, 4, 5
"""The lowest verbosity at which each is logged."""


class Masking(logging.Filter):
    """Masks secrets in every record that a handler is about to write."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: tuple[str, ...] = ()

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these secrets from now on, both as they are and as they are escaped in a URL."""
        spellings = {
            spelling
            for secret in secrets
            if secret
            for spelling in (
                secret,
                quote_plus(secret),
                *(quote(secret, safe=safe) for safe in ("", "/", READABLE)),
            )
        }
        self._secrets = tuple(sorted(spellings.union(self._secrets), key=len, reverse=True))

    def masked(self, text: str) -> str:
        """Return the text with all secrets masked."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = self.masked(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[0] is not None:
            trace = _FORMATTER.formatException(record.exc_info)
            masked = self.masked(trace)
            if masked != trace:
                record.exc_text, record.exc_info = masked, None
        return True


_FORMATTER: Final = logging.Formatter()

masking: Final = Masking()


def mask_everywhere() -> None:
    """Mask secrets in everything that this process logs, including other libraries' records."""
    for handler in logging.getLogger().handlers:
        if masking not in handler.filters:
            handler.addFilter(masking)


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


def log_exchange(response: requests.Response, verbosity: int) -> None:
    """Log a request and its response, with secret headers and fields masked by their names."""
    if verbosity >= HEADERS:
        logger.info("Sent %s", _mask_headers(response.request.headers))
        logger.info("Received %s %s", response.status_code, _mask_headers(response.headers))
    if verbosity >= BODIES:
        if response.request.body:
            body = response.request.body
            text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
            logger.info("Sent body %s", _mask_fields(text))
        logger.info("Body %s", _mask_fields(response.text))


def _mask_fields(text: str) -> str:
    return SECRET_FIELDS.sub(rf"\1{MASK}", text[:MAX_LOGGED_BODY])


def _mask_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: MASK if name.lower() in SECRET_HEADERS else value for name, value in headers.items()
    }
