"""Errors become sentences with a cause."""

from __future__ import annotations

import errno

import pytest

from tap_acumatica.odata.errors import Cause
from tap_acumatica.run.endings import in_words


@pytest.mark.parametrize(
    ("error", "lacks_memory"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (ImportError("x.so: failed to map segment from shared object"), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (ImportError("cannot import name 'x'"), False),
        (RuntimeError("generator ignored GeneratorExit"), False),
    ],
)
def test_what_the_system_gives_no_memory_for_is_no_defect(
    error: Exception, *, lacks_memory: bool
) -> None:
    assert (in_words(error).cause is Cause.MEMORY) == lacks_memory
