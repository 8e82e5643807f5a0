"""The targets that the page about them describes, each in an environment of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "targets.md"
ENVIRONMENTS: Final = ROOT / ".venv-targets"
"""`make targets` installs each package into a folder of its name, in the versions of its pins."""


def pins(package: str) -> Path:
    """Return the file with the tested versions of a package and its dependencies."""
    return ROOT / "warehouse" / "pins" / f"{package}.txt"


def program(package: str, name: str) -> Path:
    """Return the path of a program that a package installs."""
    return ENVIRONMENTS / package / "bin" / name


def site_packages(package: str) -> Path:
    """Return the folder with the modules of a package.

    Raises:
        RuntimeError: The package is not installed.
    """
    folder = next(ENVIRONMENTS.glob(f"{package}/lib/python*/site-packages"), None)
    if folder is None:
        message = f"{package} is not installed in {ENVIRONMENTS}: run make warehouse."
        raise RuntimeError(message)
    return folder


def version(package: str) -> str:
    """Return the version of a package in its pins."""
    lines = pins(package).read_text().splitlines()
    return next(
        line.removeprefix(f"{package}==") for line in lines if line.startswith(f"{package}==")
    )
