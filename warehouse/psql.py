"""``python -m warehouse.psql output/demo/postgres``: run psql, and the server for as long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from warehouse.postgres import running


def main() -> int:
    """Run psql with the arguments behind the folder of the data."""
    folder, *arguments = sys.argv[1:]
    with running(Path(folder)) as server:
        command = server.command(*arguments)
        return subprocess.run(command, env=server.variables, check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
