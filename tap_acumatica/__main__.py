"""The command `tap-acumatica`, also as `python -m tap_acumatica`."""

from __future__ import annotations

import gc
import signal
from typing import Final

GARBAGE: Final = 50_000
"""Number of objects after which garbage is looked for: a few pages of rows, which leave none."""


def main() -> None:
    """Run the command; Ctrl-C during the imports ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What is imported stays to the end, so there is no use in looking for garbage in it.
    gc.disable()
    from tap_acumatica.tap import TapAcumatica  # noqa: PLC0415

    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()
    TapAcumatica.cli()


if __name__ == "__main__":
    main()
