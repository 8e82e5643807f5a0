"""What is told of the traffic, without its secrets."""

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
"""Fields of a form, an address or an object that hold a secret, whatever its value."""

MAX_LOGGED_BODY: Final = 20_000
"""Characters of a body that are logged: Meltano waits for ever on a line over 64 KiB."""

HEADERS, BODIES, TRANSPORT, EVERYTHING = 2, 3, 4, 5
"""What is told from which verbosity on."""


class Masking(logging.Filter):
    """Takes secrets out of every record that a handler is about to write."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: tuple[str, ...] = ()

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these from now on, also as they stand in a URL."""
        forms = {
            form
            for text in secrets
            if text
            for form in (
                text,
                quote_plus(text),
                *(quote(text, safe=safe) for safe in ("", "/", READABLE)),
            )
        }
        self._secrets = tuple(sorted(forms.union(self._secrets), key=len, reverse=True))

    def masked(self, text: str) -> str:
        """The text without the secrets."""
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
    """Mask in all that this process logs, whoever logs it."""
    for handler in logging.getLogger().handlers:
        if masking not in handler.filters:
            handler.addFilter(masking)


def set_verbosity(verbosity: int) -> None:
    """Let other parts of the process talk, where the user wants to hear them."""
    # With verify_ssl false urllib3 would say it of each request.
    warnings.filterwarnings("once", "Unverified HTTPS request")
    if verbosity >= TRANSPORT:
        logging.getLogger("urllib3").setLevel(logging.DEBUG)
    if verbosity >= EVERYTHING:
        logging.getLogger().setLevel(logging.DEBUG)


@contextmanager
def silenced() -> Iterator[Callable[[int], None]]:
    """Log nothing, for a command that says itself what it finds.

    Yields:
        Takes the verbosity that the user wants; where that is more than usual all is logged again.
    """
    loggers = (logger, logging.getLogger())
    levels = [each.level for each in loggers]

    def restore(verbosity: int = EVERYTHING) -> None:
        if verbosity >= HEADERS:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)

    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        yield restore
    finally:
        restore()


def log_exchange(response: requests.Response, verbosity: int) -> None:
    """Log what went over the wire, headers with secrets masked by name."""
    if verbosity >= HEADERS:
        logger.info("Sent %s", _shown(response.request.headers))
        logger.info("Received %s %s", response.status_code, _shown(response.headers))
    if verbosity >= BODIES:
        if response.request.body:
            sent = response.request.body
            text = sent.decode("utf-8", "replace") if isinstance(sent, bytes) else str(sent)
            logger.info("Sent body %s", _without_fields(text))
        logger.info("Body %s", _without_fields(response.text))


def _without_fields(text: str) -> str:
    return SECRET_FIELDS.sub(rf"\1{MASK}", text[:MAX_LOGGED_BODY])


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: MASK if name.lower() in SECRET_HEADERS else value for name, value in headers.items()
    }
