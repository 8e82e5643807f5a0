"""Rules about URLs: which may carry secrets, and which characters stay unescaped."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Host names of this machine."""

DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

READABLE: Final = "$,:'()/="
"""Characters that stay unescaped in a query's values, so that the log is readable."""


ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
"""Matches what has a scheme; a drive of Windows is none."""


def local_path(address: str) -> str | None:
    """Return the path of a file:// address, or of what is a path already; None for others."""
    if not (parts := ADDRESS.fullmatch(address)):
        return address
    return parts[2] if parts[1].lower() == "file" else None


def may_carry_secrets(url: str) -> bool:
    """Whether secrets may be sent to this URL: over https, or to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def origin(url: str) -> tuple[str, str]:
    """Return scheme and host of a URL, without the scheme's default port."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a host in brackets that is no address
        return "", url
    return parts.scheme, parts.netloc.lower().removesuffix(DEFAULT_PORTS.get(parts.scheme, ""))


def joined(base: str, url: str) -> str:
    """Return a URL that may be relative to a base; one that is malformed stays as it is."""
    try:
        return urljoin(base, url)
    except ValueError:
        return url
