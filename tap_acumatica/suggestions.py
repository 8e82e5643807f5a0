"""Hints at names that are spelled alike."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def did_you_mean(name: str, names: Collection[str]) -> str:
    """A hint at names that are spelled alike."""
    close = get_close_matches(name, names, cutoff=0.5)
    return f" (but {', '.join(close)})" if close else ""
