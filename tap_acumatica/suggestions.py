"""Suggestions for misspelled names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def did_you_mean(name: str, names: Collection[str]) -> str:
    """Return the similar names in parentheses, after a blank; empty if there are none."""
    similar = get_close_matches(name, names, cutoff=0.5)
    return f" (similar names: {', '.join(similar)})" if similar else ""
