"""The command `tap-acumatica`, also as `python -m tap_acumatica`."""

from __future__ import annotations

import gc
import signal
import sys
from typing import Final

EX_CONFIG: Final = 78
GARBAGE: Final = 50_000
"""Number of objects after which garbage is looked for: a few pages of rows, which leave none."""


def main() -> None:
    """Run the command; Ctrl-C during the imports ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What is imported stays to the end, so there is no use in looking for garbage in it.
    gc.disable()
    try:
        from tap_acumatica.tap import TapAcumatica  # noqa: PLC0415
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and "failed to map segment" not in str(error):
            raise
        sys.stderr.write("The tap ran out of memory before it had begun: allow it more.\n")
        sys.exit(EX_CONFIG)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()
    TapAcumatica.cli()


if __name__ == "__main__":
    main()
