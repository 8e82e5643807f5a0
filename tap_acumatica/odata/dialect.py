"""The versions of OData."""

from __future__ import annotations

from enum import StrEnum


class Protocol(StrEnum):
    """The version of OData that a service speaks."""

    V3 = "v3"
    V4 = "v4"
