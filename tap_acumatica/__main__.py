"""The command `tap-acumatica`, also as `python -m tap_acumatica`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command; Ctrl-C during the imports ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tap_acumatica.tap import TapAcumatica  # noqa: PLC0415

    TapAcumatica.cli()


if __name__ == "__main__":
    main()
