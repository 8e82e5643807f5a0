"""``python -m release.notes VERSION``: print what CHANGELOG.md says of a version."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

CHANGELOG: Final = Path(__file__).parents[1] / "CHANGELOG.md"


def notes(changelog: str, version: str) -> tuple[str, str]:
    """Return the date of a version, or "unreleased", and its section without the heading.

    Raises:
        ValueError: The changelog does not know the version.
    """
    heading = re.compile(rf"^## {re.escape(version)} - (\S+)\n", re.MULTILINE)
    found = heading.search(changelog)
    if not found:
        message = f"{CHANGELOG.name} has no section of {version}: add one."
        raise ValueError(message)
    rest = changelog[found.end() :]
    return found[1], re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0].strip()


if __name__ == "__main__":
    sys.stdout.write(notes(CHANGELOG.read_text("utf-8"), sys.argv[1])[1] + "\n")
