"""What a sync does not need is not imported: it would take time in each run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from support.running import discover, select_all, settings_for, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox import Sandbox

TERMS = "PX_Objects_CS_Terms"
OTHERS = {
    *("rich", "filelock", "authlib", "cryptography", "defusedxml", "xml", "pyexpat"),
    *("webbrowser", "http.server"),
    *(f"tap_acumatica.{name}" for name in ("cli.check", "cli.login", "check", "login")),
    *(f"tap_acumatica.{name}" for name in ("odata.csdl", "odata.oauth", "run.progress_bar")),
}
"""What discovery, the other commands, OAuth, Atom or a terminal need."""

SCRIPT = """
import json, sys
import singer_sdk
before = set(sys.modules)
from tap_acumatica.tap import TapAcumatica
try:
    TapAcumatica.cli(sys.argv[1:])
except SystemExit:
    pass
json.dump(sorted(set(sys.modules) - before), sys.stderr)
"""


def test_a_plain_sync_imports_nothing_that_only_others_need(box: Sandbox, tmp_path: Path) -> None:
    settings = settings_for(box, TERMS)
    catalog = select_all(discover(settings))
    arguments = ["--config", write_json(tmp_path / "config.json", settings)]
    arguments += ["--catalog", write_json(tmp_path / "catalog.json", catalog)]
    finished = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True
    )
    assert '"type":"RECORD"' in finished.stdout
    imported = json.loads(finished.stderr.splitlines()[-1])
    assert "tap_acumatica.odata.payload.json" in imported
    assert not OTHERS & {*imported}
