"""Rules about URLs: which may carry secrets, and which characters stay unescaped."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Host names of this machine."""

READABLE: Final = "$,:'()/="
"""Characters that stay unescaped in a query's values, so that the log is readable."""


def may_carry_secrets(url: str) -> bool:
    """Whether secrets may be sent to this URL: over https, or to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
