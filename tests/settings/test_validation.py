"""Settings: wrong ones are refused in a sentence, and each part of the tap gets the right ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from support.running import in_this_process, run, settings_for

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.masking import masking
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.output.batches import BatchSettings
from tap_acumatica.run.assembly import assemble
from tap_acumatica.run.generations import GenerationSettings
from tap_acumatica.settings import validation
from tap_acumatica.settings.schema import SCHEMA, SECRETS
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from sandbox import Sandbox

REQUIRED = {"url": "https://company.acumatica.com", "username": "odata", "password": "5ecret"}
DEFAULTS = {
    name: schema["default"] for name, schema in SCHEMA["properties"].items() if "default" in schema
}


def settings(**changes: object) -> dict[str, Any]:
    return {**DEFAULTS, **REQUIRED, **changes}


def refusal(**changes: object) -> str:
    with pytest.raises(SettingsError) as raised:
        validation.check(settings(**changes))
    assert "5ecret" not in str(raised.value)
    return str(raised.value)


def test_the_needed_settings_are_enough() -> None:
    validation.check(REQUIRED)
    validation.check(settings())


def test_every_setting_may_be_null_but_the_needed_ones() -> None:
    # Meltano passes what is not set as null.
    unset = dict.fromkeys(SCHEMA["properties"].keys() - DEFAULTS.keys() - REQUIRED.keys())
    validation.check({**settings(), **unset})


def test_a_setting_that_is_null_counts_as_left_out() -> None:
    config, nulls = settings(page_size=50), dict.fromkeys(DEFAULTS.keys() - {"page_size"})
    with in_this_process():
        tap = TapAcumatica(config={**config, **nulls}, setup_mapper=False)
    assert dict(tap.config) == config


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_is_named_with_what_it_is(name: str) -> None:
    incomplete = {key: value for key, value in settings().items() if key != name}
    description = SCHEMA["properties"][name]["description"]
    with pytest.raises(SettingsError) as raised:
        validation.check(incomplete)
    assert str(raised.value) == f"The setting {name} is missing: {description}."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"page_size": 5}, "The setting page_size must be at least 10 (found 5): "),
        ({"page_size": 20_000}, "The setting page_size must be at most 10000 (found 20000): "),
        ({"timeout": 10**18}, "The setting timeout must be at most 86400 (found 1000"),
        ({"time_offset": 10**18}, "The setting time_offset must be at most 31536000 (found 1000"),
        ({"max_requests_per_minute": 10**30}, "per_minute must be at most 100000 (found 1000"),
        ({"page_size": "many"}, "The setting page_size must be of type integer (found 'many'): "),
        ({"tracking_type": "x"}, "must be one of ['date', 'none'] (found 'x'): "),
        ({"tenants": "A"}, "The setting tenants must be of type array (found 'A'): "),
        ({"tenants": [""]}, "The setting tenants[0] must not be empty (found ''): "),
        ({"tenants": [1]}, "The setting tenants[0] must be of type string (found 1): "),
        ({"tenants": []}, "The setting tenants is empty: name at least one"),
        ({"tenants": ["A", "b", "a"]}, "The setting tenants names a more than once: "),
        ({"url": 5}, "The setting url must be of type string (found 5): "),
        ({"extra_headers": {"X": 5}}, "extra_headers[X] must be of type string (found 5)"),
        ({"password": 5}, "The setting password must be of type string: "),
        ({"secret_headers": {"X": 5}}, "The setting secret_headers[X] must be of type string: "),
        ({"secret_params": "5ecret"}, "The setting secret_params must be of type object: "),
        ({"username": ""}, "The setting username must not be empty"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_must_be(
    changes: dict[str, object], sentence: str
) -> None:
    assert sentence in refusal(**changes)


def test_all_that_is_wrong_is_said_at_once() -> None:
    message = refusal(page_size=5, timeout=0, tracking_type="x")
    assert all(f"The setting {name} " in message for name in ("page_size", "timeout"))
    message = refusal(url="ftp://host", time_zone="Nowhere", start_date="soon", username=None)
    assert message.count("The setting ") == 4


def test_a_setting_that_there_is_none_of_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    validation.check(settings(enitites=["SOOrder"]))
    assert "There is no setting enitites (similar names: entities" in caplog.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stream_maps": "x"}, "The setting stream_maps must be of type object (found 'x'): "),
        ({"stream_maps": {"*": {"x": "no such"}}}, "The setting stream_maps cannot be used (Fail"),
        ({"flattening_max_depth": "x"}, "The setting flattening_max_depth must be of type integer"),
        ({"flattening_enabled": True}, "flattening_max_depth is required when flattening is"),
    ],
)
def test_the_settings_of_the_sdk_are_refused_in_sentences_too(
    box: Sandbox, changes: dict[str, object], sentence: str
) -> None:
    error = run({**settings_for(box, "PX_SM_Users"), **changes}).error
    assert isinstance(error, SettingsError)
    assert sentence in str(error)


@pytest.mark.parametrize(
    "maps",
    [
        {"x": "nope(Username)"},
        {"x": "int(Username)"},
        {"x": "Username + 1"},
        {"x": "Missing"},
        {"__filter__": "Username > 1"},
    ],
)
def test_an_expression_that_fails_on_a_record_is_named(box: Sandbox, maps: dict[str, str]) -> None:
    error = run(settings_for(box, "PX_SM_Users", stream_maps={"PX_SM_Users": maps})).error
    assert isinstance(error, SettingsError)
    (expression,) = maps.values()
    assert f"The setting stream_maps cannot be used ({expression!r} failed on" in str(error)


# The environment


@pytest.mark.parametrize(
    ("variable", "text", "requirement"),
    [
        ("PAGE_SIZE", "abc", "page_size must be a whole number"),
        ("PAGE_SIZE", "true", "page_size must be a whole number"),
        ("PAGE_SIZE", "", "page_size must be a whole number"),
        ("COUNT", "maybe", "count must be true or false"),
        ("VERIFY_SSL", "ture", "verify_ssl must be true or false"),
        ("EXPAND", "x", "expand must be a JSON object"),
        ("SECRET_HEADERS", '{"X": "5ecret"', "secret_headers must be a JSON object"),
        ("ENTITIES", '["SOOrder"', "entities must be a JSON array"),
        ("FLATTENING_ENABLED", "maybe", "flattening_enabled must be true or false"),
    ],
)
def test_a_variable_that_does_not_hold_its_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, requirement: str
) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(f"TAP_ACUMATICA_{name.upper()}", value)
    monkeypatch.setenv(f"TAP_ACUMATICA_{variable}", text)
    with in_this_process(), pytest.raises(SettingsError) as raised:
        TapAcumatica(parse_env_config=True, setup_mapper=False)
    assert f"The setting {requirement} in TAP_ACUMATICA_{variable}" in str(raised.value)
    assert "5ecret" not in str(raised.value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        **REQUIRED,
        "page_size": "50",
        "verify_ssl": "False",
        "count": "on",
        "entities": '["SOOrder", "Terms"]',
        "exclude_entities": "A,B",
        "expand": '{"SOOrder": ["X"]}',
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"TAP_ACUMATICA_{name.upper()}", value)
    with in_this_process():
        tap = TapAcumatica(parse_env_config=True, setup_mapper=False)
    assert dict(tap.config) == settings(
        page_size=50,
        verify_ssl=False,
        entities=["SOOrder", "Terms"],
        exclude_entities=["A", "B"],
        expand={"SOOrder": ["X"]},
    )


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("company.acumatica.com", "must be an address that starts with https://"),
        ("ftp://host", "must be an address that starts with https:// (found 'ftp://host')"),
        ("https://", "must be an address that starts with https://"),
        ("https://odata:5ecret@host", "contains a user name or password: move them to"),
        ("https://host/ERP/(W(1))/Main", "the mark of a browser's session"),
        ("https://host/(S(abc)W(12))/t/Company", "remove that part"),
        ("https://host/%28W%281%29%29", "the mark of a browser's session"),
        ("https://[::1", "is not a valid address (Invalid IPv6 URL)"),
        ("https://host:port", "is not a valid address"),
        ("https://host:99999", "is not a valid address"),
        ("http://host", "is plain http (host)"),
        ("http://localhost.example", "is plain http (localhost.example)"),
        ("http://127.0.0.1.example/", "is plain http"),
    ],
)
def test_an_address_that_cannot_work_is_refused(url: str, sentence: str) -> None:
    message = refusal(url=url)
    assert message.startswith("The setting url ")
    assert sentence in message


def test_a_user_name_with_a_colon_is_refused_where_it_would_end_there() -> None:
    message = refusal(username="Company:odata")
    assert message.startswith("The setting username contains a colon")


@pytest.mark.parametrize(
    "url",
    [
        "https://host/ERP (W)/t/A(1)",
        "https://host",
        "HTTPS://Host/ERP",
        "http://localhost:8080",
        "http://127.0.0.1:8080/ERP",
        "http://[::1]:80/",
        "https://host/t/Company B/api/odata/dac",
    ],
)
def test_an_address_that_can_work_is_taken(url: str) -> None:
    validation.check(settings(url=url))


def test_plain_http_has_to_be_allowed() -> None:
    validation.check(settings(url="http://host", allow_http=True))


@pytest.mark.parametrize("zone", ["Nowhere", "Europe", "../etc/passwd", "GMT+99", "a\x00b"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    assert "The setting time_zone must be an IANA zone name" in refusal(time_zone=zone)


@pytest.mark.parametrize(
    "start",
    [
        "soon",
        "now",
        "12:00",
        "P1D",
        "2024-13-01",
        "2024-01-01/P1D",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_what_is_no_start_date_is_refused(start: str) -> None:
    assert f"(found {start!r})" in refusal(start_date=start)


@pytest.mark.parametrize(
    "start",
    [
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00Z",
        "2024-01-01 02:00:00+02:00",
        "2023-12-31T19:00:00.000-05:00",
    ],
)
def test_a_start_date_without_an_offset_is_in_utc(start: str) -> None:
    validation.check(settings(start_date=start))
    reading = assemble(settings(start_date=start)).reading
    assert reading.start_date == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("setting", ["extra_headers", "secret_headers"])
@pytest.mark.parametrize(
    "headers", [{"X": "5ecret\n"}, {"X": "5ecret 日本"}, {"X Y": "5ecret"}, {"": "5ecret"}]
)
def test_headers_that_cannot_be_sent_are_refused_without_their_values(
    setting: str, headers: dict[str, str]
) -> None:
    (name,) = headers
    assert f"The setting {setting} cannot be sent as the header {name!r}" in refusal(
        **{setting: headers}
    )


@pytest.mark.parametrize("setting", ["extra_headers", "secret_headers"])
@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_headers_that_say_where_a_request_ends_are_refused(setting: str, name: str) -> None:
    sentence = f"The setting {setting} contains {name}, which the tap"
    assert sentence in refusal(**{setting: {name: "5"}})


def test_a_region_that_cannot_be_sent_is_refused() -> None:
    assert "The setting region " in refusal(region="fr\r\nX: y")
    validation.check(settings(region="fr-FR", extra_headers={"X-Name": "Müller & Co"}))


@pytest.mark.parametrize("setting", ["extra_params", "secret_params"])
@pytest.mark.parametrize("name", ["$skip", "$filter", "$top", "$Count"])
def test_options_that_decide_which_rows_come_are_refused(setting: str, name: str) -> None:
    assert f"The setting {setting} contains {name}, but" in refusal(**{setting: {name: "5ecret"}})
    validation.check(settings(**{setting: {"key": "$skip"}}))


def test_a_certificate_file_has_to_be_there(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    assert f"a file that does not exist ({bundle})" in refusal(ca_bundle=str(bundle))
    bundle.touch()
    validation.check(settings(ca_bundle=str(bundle)))
    assert "a file that does not exist" in refusal(ca_bundle="a" * 300)


@pytest.mark.parametrize("name", ["ca_bundle", "metadata_cache", "token_file"])
def test_a_path_contains_no_nul(name: str) -> None:
    assert f"The setting {name} contains a NUL character" in refusal(**{name: "a\0b"})


# Assembly


def test_archived_rows_are_asked_for_and_deleted_ones_not() -> None:
    assert assemble(settings()).client.headers == {"PX-ApiArchive": "SHOW"}
    config = settings(include_archived=False, include_deleted=True, region="fr-FR")
    assert assemble(config).client.headers == {
        "PX-ApiDeleted": "SHOW",
        "Accept-Language": "fr-FR",
    }


def test_further_headers_overrule_those_of_other_settings() -> None:
    config = settings(
        region="fr-FR",
        extra_headers={"Accept-Language": "de-DE", "X-One": "1"},
        secret_headers={"X-Key": "5ecret"},
    )
    assert assemble(config).client.headers == {
        "PX-ApiArchive": "SHOW",
        "Accept-Language": "de-DE",
        "X-One": "1",
        "X-Key": "5ecret",
    }


def test_the_defaults_are_one_connection_with_the_patience_of_the_licence_queue() -> None:
    client = assemble(settings()).client
    assert client.timeout > 600
    assert client.pool.size == 1
    assert client.pool.kept_alive
    assert client.verify is True


def test_pool_settings_are_handed_on() -> None:
    config = settings(max_pool_size=4, pool_idle_timeout=7, pool_wait_time=8)
    pool = assemble(config).client.pool
    assert (pool.size, pool.kept_alive, pool.idle_timeout, pool.wait_time) == (4, True, 7, 8)


def test_without_pooling_there_is_one_connection_whatever_the_size() -> None:
    pool = assemble(settings(enable_pooling=False, max_pool_size=4)).client.pool
    assert (pool.size, pool.kept_alive) == (1, False)


@pytest.mark.parametrize(
    ("changes", "verify"),
    [({}, True), ({"verify_ssl": False}, False), ({"ca_bundle": "/ca.pem"}, "/ca.pem")],
)
def test_certificates_are_checked_as_the_settings_say(
    changes: dict[str, object],
    verify: bool | str,
) -> None:
    assert assemble(settings(**changes)).client.verify == verify


def test_further_parameters_are_put_into_one() -> None:
    config = settings(extra_params={"a": "1"}, secret_params={"b": "2"}, max_url_length=500)
    limits = assemble(config).query_limits
    assert (limits.parameters, limits.max_length) == ({"a": "1", "b": "2"}, 500)
    assert assemble(settings()).query_limits.parameters == {}


def test_instants_are_read_in_the_zone() -> None:
    assert assemble(settings()).instants.zone is UTC
    assert assemble(settings(time_zone="UTC")).instants.zone is UTC
    reader = assemble(settings(time_zone="Europe/Oslo", ignore_offsets=True)).instants
    assert reader.ignore_offsets
    noon = datetime(2024, 7, 1, 12)  # noqa: DTZ001 - a wall clock
    assert reader.read(noon.isoformat()) == noon.replace(tzinfo=ZoneInfo("Europe/Oslo"))


def test_reads_are_as_the_settings_say() -> None:
    reading = assemble(settings(page_size=50, count=False, time_offset=60)).reading
    assert reading.paging == Paging(50, count=False)
    assert reading.time_offset == timedelta(minutes=1)
    assert reading.start_date is None
    assert reading.scope == {}
    assert assemble(settings(client_side_paging=False)).reading.paging.size is None


def test_the_scope_holds_only_what_differs_from_the_defaults() -> None:
    config = settings(include_archived=False, include_deleted=True)
    assert assemble(config).reading.scope == {
        "include_archived": False,
        "include_deleted": True,
    }


def test_discovery_is_as_the_settings_say() -> None:
    discovery = assemble(settings()).discovery
    assert (discovery.entities, discovery.exclude_entities) == (None, ())
    assert list(discovery.replication_keys) == DEFAULTS["replication_keys"]
    assert assemble(settings(tracking_type="none")).discovery.replication_keys == ()


def test_records_are_as_the_settings_say() -> None:
    assembled = assemble(settings(convert_to_utc=False, trim_strings=True))
    assert not assembled.records.convert_to_utc
    assert assembled.records.trim_strings
    assert assembled.plans.trim_strings


@pytest.mark.parametrize("value", ["number", "text", "decimal(38,10)", "decimal(19, 4)"])
def test_decimals_are_as_the_settings_say(value: str) -> None:
    validation.check(settings(decimals=value))
    assert assemble(settings(decimals=value)).discovery.decimals == edm.decimals(value)


@pytest.mark.parametrize("value", ["float", "decimal", "decimal(4,5)", "decimal(38;10)"])
def test_decimals_of_no_known_form_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=f"decimals must be .*{re.escape(value)}"):
        validation.check(settings(decimals=value))


def test_secret_settings_are_masked_by_their_text_and_by_their_place() -> None:
    config = settings(
        password="pass-word",
        secret_headers={"X-Key": "k1", "X-Long": "long-key"},
        secret_params={"sig": "s1", "long": 12345},
        region="fr",
    )
    validation.mask_secrets(config)
    said = "pass-word of X-Key k1, long-key at /?sig=s1&long=12345&region=fr"
    assert masking.masked(said) == "*** of X-Key k1, *** at /?sig=***&long=***&region=fr"
    assert masking.masked_header("x-key", "k1") == "***"


def test_every_setting_with_a_secret_name_is_secret() -> None:
    words = ("password", "secret", "token")
    names = {name for name in SCHEMA["properties"] if any(word in name for word in words)}
    assert names - {"token_file", "access_token_url"} <= SECRETS


def test_the_settings_decide_on_full_reads() -> None:
    retires = {"emit_activate_version_messages": True}
    assert assemble(settings(**retires)).generations == GenerationSettings(activates=True)
    further = {"full_read_interval": 7, "include_archived": False, "start_date": "2026-01-01"}
    assert assemble(settings(**retires, **further)).generations == GenerationSettings(
        {"*": 7}, activates=True, narrowed_by=("include_archived",), dated_by=("start_date",)
    )


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("file:///var/batches", "/var/batches"),
        ("FILE:///var/a%20b", "/var/a%20b"),
        ("file://batches", "batches"),
        ("/var/batches", "/var/batches"),
        ("batches", "batches"),
        ("C:/batches", "C:/batches"),
    ],
)
def test_batches_go_into_the_folder_that_targets_of_the_sdk_read(root: str, path: str) -> None:
    config: dict[str, Any] = {"storage": {"root": root}, "encoding": None}
    validation.check(settings(batch_config=config))
    assert assemble(settings(batch_config=config)).batches == BatchSettings(Path(path))
    config |= {"batch_size": 5, "batch_age": 7, "encoding": {"format": "jsonl"}}
    config["storage"]["prefix"] = "daily-"
    validation.check(settings(batch_config=config))
    batches = assemble(settings(batch_config=config)).batches
    assert batches == BatchSettings(Path(path), "daily-", 5, 7)
    assert assemble(settings(batch_config=None)).batches is None
