"""How a command ends: with sentences, and a run with its report and exit code as well."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.masking import shown
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.endings import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_acumatica.run.run import Run


@contextmanager
def ending(run: Run) -> Iterator[None]:
    """Run a sync: in the end say what went wrong, complete the report and exit with its code."""
    error = None
    try:
        yield
        sys.stdout.flush()
    except Exception as caught:  # noqa: BLE001 - whatever it is, the run ends with it
        error = caught
    if error:
        say(error)
    run.end(error)
    run.report.write()
    run.report.log()
    sys.exit(run.report.exit_code)


def say(error: BaseException) -> None:
    """Tell the user what went wrong, each sentence in a line of its own."""
    if isinstance(error, Stopped):
        return
    for sentence in in_words(error).sentences:
        if logging.getLogger().handlers:
            logger.error("%s", sentence)
        else:
            sys.stderr.write(shown(sentence) + "\n")
    if not isinstance(error, AcumaticaError):
        logger.debug("Traceback", exc_info=error)
