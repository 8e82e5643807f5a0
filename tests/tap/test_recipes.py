"""The recipes do what they say: their settings, scripts and queries, as the page has them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.running import COMMAND, discover, run, settings_for, write_json

from sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.running import Output

    from sandbox import Sandbox

    Cron = Callable[..., subprocess.CompletedProcess[str]]

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS.joinpath("recipes.md").read_text("utf-8")
ORDERS = "PX_Objects_SO_SOOrder"
CONTACTS = "PX_Objects_CR_Contact"
USERS = "PX_SM_Users"
TERMS = "PX_Objects_CS_Terms"
AUDIT = "PX_SM_AuditHistory"


def blocks(heading: str, language: str, page: str = "recipes.md") -> list[str]:
    """The blocks of a language below a heading of a page."""
    _, _, rest = DOCS.joinpath(page).read_text("utf-8").partition(f"\n## {heading}\n")
    text = rest.partition("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found


def settings_of(heading: str) -> dict[str, Any]:
    (block,) = blocks(heading, "json")
    settings: dict[str, Any] = json.loads(block)
    return settings


def query(output: Output, sql: str) -> list[tuple[Any, ...]]:
    """Ask tables that hold the records of a run."""
    database = sqlite3.connect(":memory:")
    for message in output.messages:
        if message["type"] == "SCHEMA":
            columns = ", ".join(f'"{name}"' for name in message["schema"]["properties"])
            database.execute(f'CREATE TABLE IF NOT EXISTS "{message["stream"]}" ({columns})')
        elif message["type"] == "RECORD":
            values = {name: _cell(value) for name, value in message["record"].items()}
            names, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" for _ in values)
            database.execute(
                f'INSERT INTO "{message["stream"]}" ({names}) VALUES ({marks})',  # noqa: S608 - our own names
                list(values.values()),
            )
    return database.execute(sql).fetchall()


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | str | None) else str(value)


def test_notes_and_attachments_lead_from_a_row_to_its_texts_and_files(box: Sandbox) -> None:
    output = run(settings_for(box, **settings_of("Notes and attachments")))
    assert output.error is None
    (sql,) = blocks("Notes and attachments", "sql")
    found = query(output, sql)
    assert len(found) == len(box.rows(ORDERS))
    with_notes = [(order, text, file) for order, text, file in found if text]
    assert len(with_notes) == len(box.rows("PX_Data_Note")) > 0
    for order, text, file in with_notes:
        assert text.endswith(order)
        assert file.endswith(".pdf")


def test_the_audit_history_is_read_by_the_date_of_a_change(box: Sandbox) -> None:
    def change(number: int, date: str) -> None:
        box.insert(
            AUDIT,
            {
                "BatchID": number,
                "ChangeID": 1,
                "ScreenID": "SO301000",
                "UserID": box.rows(USERS)[0]["PKID"],
                "ChangeDate": date,
                "Operation": "U",
            },
        )

    config = settings_for(box, **settings_of("Audit history"))
    change(1, "2026-05-01T08:00:00Z")
    change(2, "2026-05-02T08:00:00Z")
    first = run(config)
    (sql,) = blocks("Audit history", "sql")
    found = query(first, sql)
    assert [row[3] for row in found] == ["U", "U"]
    assert {row[1] for row in found} == {box.rows(USERS)[0]["Username"]}
    box.clock.advance(7200)
    change(3, "2026-06-01T13:30:00Z")
    second = run(config, state=first.state)
    assert second.error is None
    assert [row["BatchID"] for row in second.records(AUDIT)] == [3]


def test_personal_columns_are_hashed_or_null(box: Sandbox) -> None:
    maps = settings_of("Personal columns")
    salt = maps["stream_map_config"]["salt"]
    first, second, *_ = box.rows(CONTACTS)
    box.update(CONTACTS, {"ContactID": first["ContactID"]}, {"EMail": " Ann@Example.com "})
    box.update(CONTACTS, {"ContactID": second["ContactID"]}, {"EMail": None})
    plain = run(settings_for(box, CONTACTS)).records()

    def hashed(text: str | None) -> str | None:
        return hashlib.sha256((salt + text).encode()).hexdigest() if text else None

    output = run(settings_for(box, CONTACTS, **maps))
    assert output.error is None
    mapped = {record["ContactID"]: record for record in output.records()}
    assert len(mapped) == len(plain)
    for record in plain:
        email = record["EMail"]
        expected = {
            **record,
            "EMail": hashed(email and email.strip().lower()),
            "Phone1": hashed(record["Phone1"]),
        }
        del expected["FirstName"], expected["LastName"]
        assert mapped[record["ContactID"]] == expected


def test_the_script_gives_streams_and_columns_names_in_snake_case(
    box: Sandbox, tmp_path: Path
) -> None:
    config = settings_for(box, ORDERS, USERS, "GI_Account_Balances", time_zone="UTC")
    streams = discover(config)
    catalog = {"streams": list(streams.values())}
    (script,) = blocks("Snake case", "python")
    tmp_path.joinpath("snake_case.py").write_text(script)
    finished = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, tmp_path / "snake_case.py"],
        input=json.dumps(catalog),
        capture_output=True,
        text=True,
        check=True,
    )
    maps = json.loads(finished.stdout)
    plain = run(config, catalog=catalog)
    output = run(config | maps, catalog={"streams": list(discover(config).values())})
    assert output.error is None
    schemas = {m["stream"]: m for m in output.messages if m["type"] == "SCHEMA"}
    assert {"so_order", "sm_users"} <= schemas.keys()
    for message in schemas.values():
        names = {message["stream"], *message["schema"]["properties"], *message["key_properties"]}
        assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)
    assert schemas["so_order"]["key_properties"] == ["order_nbr", "order_type"]
    columns = maps["stream_maps"][ORDERS]
    renamed = [
        {new: record[old] for new, old in columns.items() if not new.startswith("__")}
        for record in plain.records(ORDERS)
    ]
    assert output.records("so_order") == renamed
    assert {"email", "full_name"} <= output.records("sm_users")[0].keys()
    assert "password" not in output.records("sm_users")[0]


# Cron

FAKE_TAP = """\
#!/bin/sh
state=$(cat state.json)
echo "$state" >> states.given
code=$(head -n 1 codes)
sed -i 1d codes
[ "$code" = 75 ] || echo "{\\"bookmarks\\": {\\"run\\": \\"$code\\"}}"
exit "$code"
"""


@pytest.fixture
def cron(tmp_path: Path) -> Cron:
    """Runs the script of the page, with a tap that ends with these codes, one in each try."""
    programs = tmp_path / "bin"
    programs.mkdir()
    fakes = {"tap-acumatica": FAKE_TAP, "target-jsonl": "#!/bin/sh\ncat\n"}
    fakes["sleep"] = '#!/bin/sh\necho "$1" >> slept\n'
    for name, text in fakes.items():
        programs.joinpath(name).write_text(text)
        programs.joinpath(name).chmod(0o755)
    (script,) = blocks("Cron and exit codes", "sh")
    assert "/srv/acumatica" in script
    file = tmp_path / "sync.sh"
    file.write_text(script.replace("/srv/acumatica", str(tmp_path)))

    def sync(*codes: int, target: str | None = None) -> subprocess.CompletedProcess[str]:
        tmp_path.joinpath("codes").write_text("".join(f"{code}\n" for code in codes))
        tmp_path.joinpath("slept").write_text("")
        if target:
            programs.joinpath("target-jsonl").write_text(target)
        return subprocess.run(  # noqa: S603 - our own script
            ["/usr/bin/env", "bash", file],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        )

    return sync


@pytest.mark.skipif(sys.platform != "linux", reason="flock is a program of Linux")
@pytest.mark.parametrize(
    ("codes", "pauses", "says"),
    [
        ([0], [], ""),
        ([75, 75, 0], [60, 300], ""),
        ([75, 75, 75, 75], [60, 300, 900, 0], "nothing was loaded (exit code 75)"),
        ([3], [], "something is missing"),
        ([75, 77], [60], "nothing was loaded (exit code 77)"),
        ([78], [], "nothing was loaded (exit code 78)"),
    ],
)
def test_the_script_for_cron_tries_again_only_what_passes(
    cron: Cron, tmp_path: Path, codes: list[int], pauses: list[int], says: str
) -> None:
    finished = cron(*codes)
    assert finished.returncode == codes[-1], finished.stderr
    assert [int(line) for line in tmp_path.joinpath("slept").read_text().split()] == pauses
    assert says in finished.stdout
    assert bool(says) == bool(finished.stdout)
    assert not finished.stderr
    assert tmp_path.joinpath("states.given").read_text().splitlines()[0] == "{}"


@pytest.mark.skipif(sys.platform != "linux", reason="flock is a program of Linux")
def test_the_script_for_cron_goes_on_from_the_last_state_that_the_target_printed(
    cron: Cron, tmp_path: Path
) -> None:
    assert cron(3).returncode == 3
    assert cron(75, 0).returncode == 0
    given = tmp_path.joinpath("states.given").read_text().splitlines()
    assert [json.loads(line) for line in given] == [
        {},
        {"bookmarks": {"run": "3"}},
        {"bookmarks": {"run": "3"}},
    ]
    broken = cron(0, target="#!/bin/sh\ncat > /dev/null\nexit 9\n")
    assert broken.returncode == 9
    assert json.loads(tmp_path.joinpath("state.json").read_text()) == {"bookmarks": {"run": "0"}}


def test_an_object_without_streams_is_a_first_state(box: Sandbox, tmp_path: Path) -> None:
    config = settings_for(box, TERMS)
    files = ["--config", write_json(tmp_path / "config.json", config)]
    empty = tmp_path / "state.json"
    texts = {"{}": 0, "": 78}
    for text, code in texts.items():
        empty.write_text(text)
        finished = subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *files, "--state", str(empty)], capture_output=True, text=True, check=False
        )
        assert finished.returncode == code, finished.stderr
        assert ('"type":"RECORD"' in finished.stdout) == (code == 0)


@pytest.mark.skipif(not shutil.which("jq"), reason="needs jq")
def test_a_log_in_json_tells_what_was_not_complete(box: Sandbox, tmp_path: Path) -> None:
    (log,) = blocks("The log", "yaml", "operations.md")
    tmp_path.joinpath("log.yaml").write_text(log)
    box.faults.add(Fault("forbidden", match=USERS))
    config = write_json(tmp_path / "config.json", settings_for(box, TERMS, USERS))
    finished = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "--config", config],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SINGER_SDK_LOG_CONFIG": str(tmp_path / "log.yaml")},
    )
    (expression,) = re.findall(r"^    jq '(.*)' tap\.jsonl$", PAGE, re.MULTILINE)
    asked = subprocess.run(  # noqa: S603 - our own expression
        ["/usr/bin/env", "jq", "--compact-output", expression],
        input=finished.stderr,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in asked.stdout.splitlines()]
    assert lines == [{"stream": USERS, "cause": "no rights"}]
