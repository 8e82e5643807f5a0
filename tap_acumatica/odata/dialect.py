"""The versions of OData, and the formats of its responses."""

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
    """A response format.

    Attributes:
        accept: The content type for the Accept header.
        option: The value of `$format`; empty if the option is not sent.
    """

    accept: str
    option: str = ""


JSON: Final = Format("application/json")
ATOM: Final = Format("application/atom+xml", "atom")
