"""The library that compresses and decompresses: isal where it is installed, since it is faster."""

from __future__ import annotations

import zlib
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

library: Any = zlib
with suppress(ImportError):
    library = import_module("isal.isal_zlib")

GZIP: Final = 31
"""The window of gzip, with its head and checksum."""
