"""The formats in which rows can be had: JSON everywhere, Atom from services of OData 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


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
