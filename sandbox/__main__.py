"""``python -m sandbox``: serve the sandbox until it is stopped."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from sandbox.box import Sandbox


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser("sandbox", description="An Acumatica look-alike over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=8080, help="port to listen on; 0 takes a free one"
    )
    parser.add_argument("--tenants", default="Company", help="login names, separated by commas")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, help="approximate number of rows in the largest tables")
    parser.add_argument(
        "--scale", action="store_true", help="serve the metadata of a full instance"
    )
    parser.add_argument("--now", help="instant at which the clock stands still; default: real time")
    parser.add_argument(
        "--time-zone", default="UTC", help="the account's time zone: IANA name or Acumatica code"
    )
    parser.add_argument("--directory", default="", help="virtual directory, such as /ERP")
    parser.add_argument("--tls", action="store_true", help="serve https and print the CA's file")
    return parser.parse_args()


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    options = parse_arguments()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Sandbox(
        tenants=[tenant.strip() for tenant in options.tenants.split(",")],
        seed=options.seed,
        rows=options.rows,
        now=options.now,
        scale=options.scale,
        host=options.host,
        port=options.port,
        directory=options.directory,
        tls=options.tls,
        time_zone=options.time_zone,
    ) as box:
        sys.stdout.write(f"{box.url}\n")
        if options.tls:
            sys.stdout.write(f"{box.bundle}\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
