"""The versions of OData."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ODataVersion(StrEnum):
    """The version of OData that a service speaks."""

    V3 = "v3"
    V4 = "v4"


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        accept: The content type to ask for.
        option: The value of `$format`; empty where none is sent.
    """

    accept: str
    option: str = ""


JSON: Final = Format("application/json")


ATOM: Final = Format("application/atom+xml", "atom")
