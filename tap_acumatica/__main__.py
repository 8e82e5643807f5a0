"""The command `tap-acumatica`, also as `python -m tap_acumatica`."""

from __future__ import annotations

import signal
import sys
from typing import Final

EX_CONFIG: Final = 78


def main() -> None:
    """Run the command; Ctrl-C during the imports ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from tap_acumatica.tap import TapAcumatica  # noqa: PLC0415
    except (MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and "failed to map segment" not in str(error):
            raise
        sys.stderr.write("The tap ran out of memory before it had begun: allow it more.\n")
        sys.exit(EX_CONFIG)
    TapAcumatica.cli()


if __name__ == "__main__":
    main()
