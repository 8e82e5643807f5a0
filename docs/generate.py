"""``python -m docs.generate``: write two pages, the settings in meltano.yml, and plugin.yml.

docs/settings.md, meltano.yml and plugin.yml follow from the schema of the settings, docs/presets.md
from the lists of entities, so that no fact stands in two places. The text around the tables is in
this file. plugin.yml, the definition for other Meltano projects and for Meltano Hub, is the
extractor of meltano.yml with the addresses of pyproject.toml.
"""

from __future__ import annotations

import json
import re
import tomllib
from copy import deepcopy
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Final

import yaml

from tap_acumatica.settings.presets import MODULES
from tap_acumatica.settings.schema import SCHEMA
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "settings.md"
PRESETS_PAGE: Final = ROOT / "docs" / "presets.md"
PROJECT: Final = ROOT / "meltano.yml"
PLUGIN: Final = ROOT / "plugin.yml"
PACKAGE: Final = ROOT / "pyproject.toml"

INTRO: Final = """\
# Settings

<!-- Written by `make docs`. The descriptions are those of tap_acumatica/settings/schema.py. -->

`url` is required, and so are `username` and `password`, or the settings of
[OAuth](authentication.md#oauth) in their place. All other settings have a default or may be left
out. Secrets are masked in the log: see [SECURITY.md](../SECURITY.md).

"""

GROUPS: Final[Mapping[str, str]] = {
    "url": "What to read",
    "auth_method": "Sign-in",
    "start_date": "Incremental reading",
    "time_zone": "Date-times and languages",
    "page_size": "Pages",
    "timeout": "Requests and connections",
    "metadata_cache": "Metadata and log",
    "extra_headers": "Headers, parameters and TLS",
    "include_archived": "Rows, related records and inquiries",
    "decimals": "Output",
}
"""The first setting of each group, in the order of the schema, and the group's heading."""

OF_THE_SDK: Final = """\
## Settings of the SDK

The Meltano SDK adds these to every tap. `tap-acumatica --about` prints all settings.

"""

HOW: Final = """\
## How settings reach the tap

- **A config file**: a JSON object, given with `--config config.json`. It holds a password, so let
  nobody else read it.
- **The environment**: with `--config=ENV` the tap takes each setting from a variable,
  `TAP_ACUMATICA_URL`, `TAP_ACUMATICA_USERNAME` and so on. Write lists and objects as JSON, for
  example `TAP_ACUMATICA_TENANTS='["Company A", "Company B"]'`.
- **Meltano** passes the settings of an extractor in `meltano.yml`, and the variables in `.env` and
  in the environment: see [Meltano](meltano.md).

A setting with a wrong value stops the tap with a message that names the setting, what it holds and
what was found. A setting that does not exist is a warning that suggests a similar name.
"""

ABOUT_THE_PRESETS: Final = """\
# Presets

<!-- Written by `make docs` from tap_acumatica/settings/presets.json. -->

The setting `presets` names modules in place of entities:

```json
{
  "presets": ["finance", "sales"],
  "entities": ["PX_Objects_PM_PMProject"],
  "exclude_entities": ["*Budget*"]
}
```

- A module stands for all entities of its table, which are what a warehouse of that module usually
  needs. They join those of `entities`; `exclude_entities` leaves out of both.
- What the instance lacks of them, because of its release, its features or the rights of the
  account, is no error: one line of the log counts it and names the first few; in a
  [log in JSON](recipes.md#a-log-in-json) it names all. What an earlier run has read must still be
  there, as with `entities`.
- A module has two parts, each of them a preset of its own. `finance-documents` are documents and
  master data, which grow and are read by what has changed; `finance-reference` are small tables,
  and tables of balances, which are worth a full read each night. An entity is in the same part of
  all modules, so that two runs, of which each reads one part, never share a table. `meltano.yml`
  has [two such extractors](meltano.md).
- Users, and preferences other than those of the general ledger, are in no preset: name what you
  need of them in `entities`.

Names and labels are those of the [metadata](acumatica.md#metadata) of a clean instance of release
2026 R2.

"""

BEGIN: Final = (
    "    # Begin of the settings: written by `make docs` from tap_acumatica/settings/schema.py.\n"
)
END: Final = "    # End of the settings.\n"
ABOUT_THE_PLUGIN: Final = """\
# Written by `make docs` from meltano.yml and pyproject.toml: the extractor for other projects,
#   meltano add tap-acumatica --from-ref plugin.yml
# and its definition for Meltano Hub.
"""
WIDTH: Final = 80
"""Columns after which PyYAML breaks a text, at the next blank."""
LONGEST_PLAIN: Final = 60
"""Characters of a text that stays on the line of its name."""


class _Dumper(yaml.SafeDumper):
    """Writes long texts as folded blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > LONGEST_PLAIN or ": " in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def main() -> None:
    """Write the two pages, the settings in meltano.yml, and plugin.yml."""
    PAGE.write_text(page(), encoding="utf-8")
    PRESETS_PAGE.write_text(presets_page(), encoding="utf-8")
    written = project(PROJECT.read_text(encoding="utf-8"))
    PROJECT.write_text(written, encoding="utf-8")
    PLUGIN.write_text(plugin(written), encoding="utf-8")


def page() -> str:
    """The content of docs/settings.md."""
    text = INTRO
    for heading, settings in _grouped().items():
        text += f"## {heading}\n\n{_table(settings)}\n"
    return text + f"{OF_THE_SDK}{_table_of_the_sdk()}\n{HOW}"


def presets_page() -> str:
    """The content of docs/presets.md."""
    tables = [
        f"## {module}\n\n"
        + _rows(
            ("entity", "label", "preset"),
            (
                (f"`{name}`", label, f"`{module}-{part}`")
                for part, entities in parts.items()
                for name, label in entities.items()
            ),
        )
        for module, parts in MODULES.items()
    ]
    return ABOUT_THE_PRESETS + "\n".join(tables)


def project(text: str) -> str:
    """The content of meltano.yml, with the settings between their two comments replaced."""
    settings = [_of_meltano(name, schema) for name, schema in _with_the_sdk().items()]
    listed = yaml.dump({"settings": settings}, Dumper=_Dumper, sort_keys=False, width=WIDTH)
    region = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)
    written, times = region.subn(lambda _: indent(listed, "    "), text)
    if times != 1:
        message = f"{PROJECT.name} needs these two comments once:\n{BEGIN}{END}"
        raise ValueError(message)
    return written


def plugin(text: str) -> str:
    """The content of plugin.yml.

    Args:
        text: The content of meltano.yml, whose first extractor is the tap.
    """
    package = tomllib.loads(PACKAGE.read_text(encoding="utf-8"))["project"]
    repository = package["urls"]["Repository"]
    base = yaml.safe_load(text)["plugins"]["extractors"][0]
    addresses = {
        "variant": repository.split("/")[-2],
        "domain_url": "https://www.acumatica.com",
        "docs": package["urls"]["Documentation"],
        "repo": repository,
        "logo_url": f"{repository}/raw/main/docs/logo.svg",
        "pip_url": package["name"],
        "maintenance_status": "beta",
        "quality": "unknown",
        "keywords": ["meltano_sdk"],
    }
    definition = {name: base[name] for name in ("name", "namespace", "label", "description")}
    definition |= addresses
    definition |= {name: value for name, value in base.items() if name not in definition}
    listed = yaml.dump(definition, Dumper=_Dumper, sort_keys=False, width=WIDTH)
    return ABOUT_THE_PLUGIN + listed


def _with_the_sdk() -> dict[str, dict[str, Any]]:
    """The schemas of all settings, as `--about` shows them."""
    schema = deepcopy(SCHEMA)
    TapAcumatica.append_builtin_config(schema)
    properties: dict[str, dict[str, Any]] = schema["properties"]
    return properties


def _grouped() -> dict[str, dict[str, dict[str, Any]]]:
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for name, schema in SCHEMA["properties"].items():
        if name in GROUPS:
            groups[GROUPS[name]] = {}
        list(groups.values())[-1][name] = schema
    return groups


def _table(settings: Mapping[str, Mapping[str, Any]]) -> str:
    return _rows(
        ("setting", "type", "default", "meaning"),
        (
            (
                f"`{name}`",
                _kind(name, schema),
                f"`{json.dumps(schema['default'])}`" if "default" in schema else "",
                schema["description"],
            )
            for name, schema in settings.items()
        ),
    )


def _table_of_the_sdk() -> str:
    return _rows(
        ("setting of the SDK", "type", "meaning"),
        (
            (f"`{name}`", _kind(name, schema), " ".join(schema["description"].split()))
            for name, schema in _with_the_sdk().items()
            if name not in SCHEMA["properties"]
        ),
    )


def _rows(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |\n" for cells in (headings, *rows)]
    lines.insert(1, "|" + "---|" * len(headings) + "\n")
    return "".join(lines)


def _kind(name: str, schema: Mapping[str, Any]) -> str:
    """A setting's type, with its range."""
    text = " or ".join(f"`{value}`" for value in schema.get("enum", ()))
    text = text or str(schema.get("format", _type(schema)))
    if "maximum" in schema:
        text += f" {schema['minimum']} to {schema['maximum']}"
    elif "minimum" in schema:
        text += f" from {schema['minimum']}"
    if name in SCHEMA["required"]:
        text += ", required"
    return text + (", secret" if schema.get("secret") else "")


def _type(schema: Mapping[str, Any]) -> str:
    return " or ".join(str(name) for name in schema["type"] if name != "null")


def _of_meltano(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A setting as Meltano describes it."""
    kind = "date_iso8601" if schema.get("format") == "date-time" else _type(schema)
    setting = {
        "name": name,
        "label": schema["title"],
        "description": schema["description"],
        "kind": "options" if "enum" in schema else kind.partition(" or ")[0],
    }
    if "enum" in schema:
        setting["options"] = [{"label": value, "value": value} for value in schema["enum"]]
    if "default" in schema:
        setting["value"] = schema["default"]
    if schema.get("secret"):
        setting["sensitive"] = True
    return setting


if __name__ == "__main__":
    main()
