"""What the tap does about each fault of a server that docs/reliability.md lists."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from support.running import Output, run, settings_for

from sandbox import Fault, Sandbox
from tap_acumatica.odata.errors import AcumaticaError, InconsistentAnswer, RequestFailed
from tap_acumatica.run.failures import StreamsFailed

LEDGER = "PX_Objects_GL_GLTran"
USERS = "PX_SM_Users"
ACCOUNTS = "PX_Objects_GL_Account"
SETUP = "PX_Objects_GL_GLSetup"
KEY = ("BatchNbr", "LineNbr", "Module")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between retries, which are recorded instead of made."""
    pauses: list[float] = []
    monkeypatch.setattr(
        "backoff._sync.time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    )
    return pauses


def read(box: Sandbox, **changes: Any) -> Output:
    return run(settings_for(box, LEDGER, page_size=100, max_retry_time=900, **changes))


def is_complete(box: Sandbox, output: Output) -> bool:
    delivered = {tuple(row[name] for name in KEY) for row in output.records(LEDGER)}
    return output.error is None and delivered == {
        tuple(row[name] for name in KEY) for row in box.rows(LEDGER)
    }


both_methods = pytest.mark.parametrize("tracking_type", ["date", "none"])


@both_methods
@pytest.mark.parametrize("rows", [250, 50, 7])
@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("client_side_paging", [True, False])
def test_a_silent_cap_is_read_past(
    box: Sandbox, rows: int, count: bool, client_side_paging: bool, tracking_type: str
) -> None:
    box.faults.add(Fault("rows_cap", rows=rows, count=count))
    output = read(box, client_side_paging=client_side_paging, tracking_type=tracking_type)
    assert is_complete(box, output)


@both_methods
@pytest.mark.parametrize("at", [None, 5, 150])
def test_a_row_that_comes_twice_is_written_once(
    box: Sandbox, at: int | None, tracking_type: str
) -> None:
    options: dict[str, Any] = {} if at is None else {"at": at}
    box.faults.add(Fault("duplicate_row", **options))
    output = read(box, tracking_type=tracking_type)
    assert is_complete(box, output)
    assert len(output.records(LEDGER)) == len(box.rows(LEDGER))


@both_methods
@pytest.mark.parametrize(
    ("kind", "times", "options"),
    [
        ("truncated", 2, {}),
        ("short_body", 2, {}),
        ("reset", 2, {"when": "before"}),
        ("reset", 2, {"when": "headers"}),
        ("reset", 2, {"when": "body"}),
        ("login_page", 2, {}),
        ("unavailable", 3, {}),
        ("throttle", 2, {}),
        ("throttle", 2, {"retry_after": 30}),
        ("throttle", 2, {"retry_after": "Mon, 01 Jun 2026 12:00:30 GMT"}),
        ("error", 3, {"message": "Something unknown went wrong."}),
        ("error_in_body", 2, {"message": "Something unknown went wrong."}),
        ("blocked", 3, {"status": 403}),
        ("blocked", 3, {"status": 404}),
        ("login_limit", 2, {"form": "redirect"}),
        ("login_limit", 2, {"form": "page"}),
        ("login_limit", 2, {"form": "page", "status": 500}),
        ("login_limit", 2, {"form": "json"}),
        ("login_limit", 2, {"form": "iis"}),
    ],
)
def test_what_passes_is_waited_out(  # noqa: PLR0913, PLR0917 - a table
    box: Sandbox,
    waits: list[float],
    kind: str,
    times: int,
    options: dict[str, Any],
    tracking_type: str,
) -> None:
    box.faults.add(Fault(kind, after=2, times=times, **options))
    assert is_complete(box, read(box, tracking_type=tracking_type))
    assert len(waits) == times
    if "retry_after" in options:
        assert waits == [30, 30]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("An unknown function with name 'substringof' was found.", "refused the query"),
        ("Could not find a property named 'Gone' on type 'X'.", "run discovery again"),
        ("Unrecognized 'Edm.String' literal 'x' at '13' in '...'.", "refused the query"),
        (
            "A binary operator with incompatible types was detected.",
            "refused the query",
        ),
        (
            "Filter on 'LastModifiedDateTime' is not allowed because it is a virtual field",
            "virtual",
        ),
    ],
)
@pytest.mark.parametrize("shape", ["message", "error", "odata.error", "text"])
def test_a_query_that_is_refused_for_good_is_not_repeated(
    box: Sandbox, waits: list[float], message: str, words: str, shape: str
) -> None:
    box.faults.add(Fault("error", message=message, shape=shape))
    output = read(box)
    assert isinstance(output.error, RequestFailed)
    assert words in str(output.error)
    assert not waits


def test_an_empty_body_is_never_no_rows(box: Sandbox) -> None:
    box.faults.add(Fault("empty_body", after=2))
    output = read(box)
    assert isinstance(output.error, RequestFailed)
    assert "nothing at all" in str(output.error)


def test_a_sign_in_page_from_the_start_is_no_acumatica(box: Sandbox, waits: list[float]) -> None:
    box.faults.add(Fault("login_page", match="metadata|GLTran"))
    box.faults.add(Fault("redirect", after=0))
    output = read(box)
    assert isinstance(output.error, AcumaticaError)
    assert "url" in str(output.error)
    assert not waits


def test_a_refused_sign_in_under_way_stops_and_is_not_sent_again(box: Sandbox) -> None:
    box.faults.add(Fault("unauthorized", after=3))
    output = read(box)
    assert isinstance(output.error, RequestFailed)
    assert "401" in str(output.error)
    assert sum(record.status == 401 for record in box.log) == 1
    assert output.types()[-1] == "STATE"


@both_methods
def test_a_page_that_times_out_is_asked_for_in_halves(box: Sandbox, tracking_type: str) -> None:
    box.faults.add(Fault("hang", above_top=120, match="top="))
    output = run(settings_for(box, LEDGER, page_size=400, timeout=1, tracking_type=tracking_type))
    assert is_complete(box, output)
    tops = [int(r.query["$top"]) for r in box.log if "$top" in r.query and r.status is None]
    assert tops
    assert all(top > 120 for top in tops)


@both_methods
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("error", {"status": 502, "shape": "html"}),
        ("error", {"status": 504, "shape": "text"}),
        ("error", {"status": 524, "shape": "html"}),
        ("timed_out", {}),
    ],
)
def test_a_page_that_a_status_says_took_too_long_is_asked_for_in_halves(
    box: Sandbox, waits: list[float], kind: str, options: dict[str, Any], tracking_type: str
) -> None:
    box.faults.add(Fault(kind, match="top=", above_top=120, **options))
    output = run(settings_for(box, LEDGER, page_size=400, tracking_type=tracking_type))
    assert is_complete(box, output)
    assert not waits
    tops = [int(r.query["$top"]) for r in box.log if r.status in {500, 502, 504, 524}]
    assert tops
    assert all(top > 120 for top in tops)


@both_methods
def test_a_site_that_restarts_behind_a_gateway_is_waited_for(
    box: Sandbox, waits: list[float], tracking_type: str
) -> None:
    box.faults.add(Fault("error", status=502, shape="html", after=2, times=15))
    assert is_complete(box, read(box, tracking_type=tracking_type))
    assert sum(waits) > 60


@both_methods
@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("after", [0, 3])
def test_a_page_that_stays_is_no_refusal_of_acumatica(
    box: Sandbox, status: int, after: int, tracking_type: str
) -> None:
    box.faults.add(Fault("blocked", match=LEDGER, status=status, after=after))
    entities = (ACCOUNTS, LEDGER, SETUP)
    output = run(settings_for(box, *entities, page_size=100, tracking_type=tracking_type))
    assert isinstance(output.error, StreamsFailed)
    assert f"not Acumatica itself, refused {LEDGER} ({status}: Request blocked" in str(output.error)
    assert LEDGER not in {m["stream"] for m in output.messages if m["type"] == "ACTIVATE_VERSION"}


@both_methods
@pytest.mark.parametrize("kind", ["informational", "repeated"])
def test_answers_that_come_too_early_or_twice_change_no_row(
    box: Sandbox, kind: str, tracking_type: str
) -> None:
    names = (ACCOUNTS, "PX_Objects_CS_Terms", USERS, SETUP)
    settings = settings_for(box, *names, page_size=10, max_retry_time=900)
    settings["tracking_type"] = tracking_type
    expected = run(settings)
    assert expected.error is None
    for after in range(12):
        box.faults.clear()
        box.faults.add(Fault(kind, after=after, times=2))
        output = run(settings)
        for name in names:
            rows, whole = output.records(name), expected.records(name)
            # Rows may come twice, if a page was taken for another one of the same set.
            assert [row for row in rows if row not in whole] == []
            assert output.error or [row for row in whole if row not in rows] == []


def test_a_module_without_its_preferences_is_skipped(
    box: Sandbox, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    box.faults.add(Fault("not_set_up", match=LEDGER, form="General Ledger Preferences"))
    output = run(settings_for(box, LEDGER, ACCOUNTS))
    assert output.error is None
    assert output.records(ACCOUNTS)
    assert "not entered on the General Ledger Preferences form" in caplog.text
    assert not waits


@both_methods
def test_a_column_that_the_server_does_not_know_is_read_with_all_columns(
    box: Sandbox, waits: list[float], tracking_type: str
) -> None:
    box.faults.add(Fault("unknown_column", match=f"{LEDGER}.*top=1[0-9]"))
    assert is_complete(box, read(box, tracking_type=tracking_type))
    assert len(waits) == 1


def test_a_label_with_a_forbidden_character_keeps_nothing_from_being_read(box: Sandbox) -> None:
    box.faults.add(Fault("control_character", match="metadata"))
    assert is_complete(box, read(box))


@pytest.mark.parametrize("into", ["number", "boolean", "object"])
def test_a_column_whose_values_change_type_is_an_error(box: Sandbox, into: str) -> None:
    box.faults.add(Fault("retype", column="TranDesc", into=into, after=2))
    output = read(box)
    assert isinstance(output.error, InconsistentAnswer)
    assert "run discovery again" in str(output.error)


def test_numbers_may_come_as_text(box: Sandbox) -> None:
    box.faults.add(Fault("retype", column="CuryDebitAmt", into="string"))
    output = read(box)
    assert is_complete(box, output)
    stored = {tuple(r[k] for k in KEY): str(r["CuryDebitAmt"]) for r in box.rows(LEDGER)}
    for record in output.records(LEDGER):
        assert str(record["CuryDebitAmt"]) == stored[tuple(record[k] for k in KEY)]


@both_methods
@pytest.mark.parametrize("kind", ["nulls_last", "shuffle"])
def test_what_the_order_leaves_open_loses_no_row(
    box: Sandbox, kind: str, tracking_type: str
) -> None:
    box.faults.add(Fault(kind))
    assert is_complete(box, read(box, tracking_type=tracking_type))


def test_a_server_that_ignores_the_filter_of_a_window_is_found_out(box: Sandbox) -> None:
    box.faults.add(Fault("ignore_filter", match="DateTime ge"))
    output = read(box, start_date="2024-06-01T00:00:00Z")
    assert isinstance(output.error, InconsistentAnswer)
    assert "$filter" in str(output.error)


def test_a_table_whose_filter_by_key_is_ignored_is_read_by_skip(box: Sandbox) -> None:
    box.faults.add(Fault("ignore_filter", match=" gt "))
    assert is_complete(box, read(box, tracking_type="none"))


@both_methods
@pytest.mark.parametrize("stream", [LEDGER, "PX_Objects_IN_InventoryItem", ACCOUNTS])
@pytest.mark.parametrize("count", [True, False])
def test_a_server_that_ignores_the_order_is_found_out(
    box: Sandbox, stream: str, count: bool, tracking_type: str
) -> None:
    box.faults.add(Fault("ignore_order"))
    output = run(settings_for(box, stream, page_size=10, count=count, tracking_type=tracking_type))
    assert isinstance(output.error, InconsistentAnswer)
    assert "$orderby" in str(output.error)


@pytest.mark.parametrize(
    "match",
    [r"\$metadata", f"{LEDGER}.* desc", f"{LEDGER}.* le ", SETUP, r"top=1&.*count=true"],
    ids=["metadata", "look", "round trip", "singleton", "verifying count"],
)
def test_what_has_no_pages_is_asked_for_again_after_a_timeout(
    box: Sandbox, waits: list[float], match: str
) -> None:
    hanging = box.faults.add(Fault("hang", match=match, times=2))
    output = run(settings_for(box, LEDGER, SETUP, timeout=1, verify_counts=True))
    assert is_complete(box, output)
    assert output.records(SETUP)
    assert (hanging.done, waits) == (2, [])


def test_what_never_answers_ends_the_run_after_three_timeouts(box: Sandbox) -> None:
    hanging = box.faults.add(Fault("hang", match=SETUP))
    output = run(settings_for(box, SETUP, timeout=1))
    assert "raise timeout" in str(output.error)
    assert hanging.done == 3
