"""The ways in which servers are odd, or may be: what the oracle draws from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from support.histories import DAC, Shape
from support.simulation import SECOND
from support.target import Manners
from tap_acumatica.odata.http.answer import RawResponse

Choices = Mapping[str, Sequence[Any]]
"""Arguments by name, each with the values of which one is drawn."""

SKEW = timedelta(minutes=1)
HOUR = timedelta(hours=1)
INQUIRIES = tuple(
    Shape("gi", version, keyed) for version in ("v3", "v4") for keyed in (True, False)
)
KEYLESS = tuple(shape for shape in INQUIRIES if not shape.keyed)
KEYED = (DAC, DAC, *(shape for shape in INQUIRIES if shape.keyed))

NEW_YORK, KATHMANDU = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")
LONDON, AZORES = ZoneInfo("Europe/London"), ZoneInfo("Atlantic/Azores")
ATHENS = ZoneInfo("Europe/Athens")

Display = tuple[Mapping[str, Any], Mapping[str, Any]]
"""How a server displays and compares timestamps, and the settings that fit."""

PROVED_DISPLAYS: tuple[Display, ...] = (
    ({}, {}),
    ({"zone": KATHMANDU, "cookie": "TimeZone=GMTP0545G", "label": "offset"}, {}),
    (
        {"zone": NEW_YORK, "cookie": "TimeZone=GMTM0500G", "label": ""},
        {"time_zone": "America/New_York"},
    ),
)
"""The cookie stands for the zone in which the tap reads the values."""

NEVER_PROVED: Display = (
    {"zone": NEW_YORK, "cookie": None, "label": "Z", "wall_filters": True},
    {},
)
"""No row comes near the clock, so a read has no upper bound that rows reach."""

DISPLAYS: tuple[Display, ...] = (
    *PROVED_DISPLAYS,
    ({"cookie": None}, {}),
    ({"zone": NEW_YORK, "cookie": "TimeZone=GMTM0500G"}, {}),
    ({"zone": NEW_YORK, "cookie": None, "label": "offset"}, {}),
    ({"zone": NEW_YORK, "cookie": None, "label": ""}, {"time_zone": "America/New_York"}),
    (
        {"zone": KATHMANDU, "cookie": None, "label": "Z"},
        {"time_zone": "Asia/Kathmandu", "ignore_offsets": True},
    ),
    NEVER_PROVED,
    ({"zone": KATHMANDU, "cookie": None, "label": "Z", "wall_filters": True}, {}),
)

LONDON_DISPLAYS: tuple[Display, ...] = tuple(
    ({"zone": LONDON, "cookie": cookie, **label}, settings)
    for cookie in ("TimeZone=GMTE0000K&Culture=en-GB", None)
    for label, settings in (
        ({"label": "UTC"}, {}),
        ({"label": "offset"}, {}),
        ({"label": ""}, {"time_zone": "Europe/London"}),
        ({"label": "Z", "wall_filters": True}, {}),
        ({"label": "Z"}, {"time_zone": "Europe/London", "ignore_offsets": True}),
    )
)

MISREAD_DISPLAYS: tuple[Display, ...] = tuple(
    ({"zone": zone, "cookie": cookie, "label": "Z"}, {})
    for zone, cookie in (
        (LONDON, None),
        (LONDON, "TimeZone=GMTE0000K&Culture=en-GB"),
        (ATHENS, None),
        (ATHENS, "TimeZone=GMTP0200D"),
        (NEW_YORK, None),
        (KATHMANDU, None),
    )
)
"""Values show the wall clock with a false Z, filters compare instants, and no setting says so."""

AHEAD_REFUSED = "changed later than its clock says"
ZONE_REFUSED = f"use different time zones|nothing proves their zone|ignored .filter|{AHEAD_REFUSED}"
KEYLESS_REFUSED = "within one second|same place in the order|shifts faster"
KEYLESS_CHANGES_REFUSED = "was different each time it was read"
UNSENT = "does not send the row of|it may be too large for a response|without rows to the next"


@dataclass(frozen=True, eq=False)
class Trait:
    """One way to be odd.

    Attributes:
        name: What it is called.
        server: Arguments of `Server`, each with the values of which one is drawn.
        content: Arguments of `Content`.
        first_content: Arguments of `Content` for the first of several streams.
        stream: Arguments of `Stream`.
        scene: Arguments of `Scene`.
        run: Arguments of `Run`, drawn for each run but the last.
        settings: Settings, drawn for each run.
        displays: How timestamps are displayed; empty for any healthy way.
        streams: Minimum number of streams.
        only_last: Whether only the last stream is odd, and the others are healthy DACs.
        refused: What the sentence of a run may say that is refused for it.
    """

    name: str
    server: Choices = field(default_factory=dict)
    content: Choices = field(default_factory=dict)
    first_content: Choices = field(default_factory=dict)
    stream: Choices = field(default_factory=dict)
    scene: Choices = field(default_factory=dict)
    run: Choices = field(default_factory=dict)
    settings: Choices = field(default_factory=dict)
    displays: Sequence[Display] = ()
    streams: int = 1
    only_last: bool = False
    refused: str | None = None


WEB_PAGE = b"<html><head><title>Blocked</title></head><body>Request blocked.</body></html>"
QUIET = (HOUR, 2 * HOUR, 3 * HOUR, 900 * HOUR)
TEXT_KEYS = (("str",), ("str", "str"))
MANNERS = tuple(Manners(*switches) for switches in product((True, False), repeat=3))

TRAITS = (
    Trait(
        "declared key",
        stream={"shape": KEYLESS, "declares_key": (True,)},
        refused=KEYLESS_REFUSED,
    ),
    Trait(
        "cut by size",
        server={"max_bytes": (1500, 4000, 15_000)},
        content={"widths": ((5, 600), (5, 60, 1000))},
    ),
    Trait(
        "row above the size",
        server={"max_bytes": (1500, 4000), "sends_oversized": (False,)},
        content={"widths": ((5, 60, 5000),)},
        refused=UNSENT,
    ),
    Trait("caps of chance", server={"cap": ((3, 25), (1, 7, 60), (9, 10))}),
    Trait(
        "rows missing when wide",
        server={"max_columns": (6, 9), "misses": (1, 2), "counts": (True,)},
        content={"columns": (12,)},
        stream={"shape": (DAC,)},
        # As many rows that come or go hide those that are missing (docs/reliability.md).
        scene={"changing": (False,)},
        refused=UNSENT,
    ),
    Trait(
        "rows missing in their place",
        server={
            "max_columns": (6, 9),
            "misses": (1, 2, 5, 30),
            "misses_in_place": (True,),
            "counts": (True,),
        },
        content={"columns": (12,), "rows": (60, 200)},
        stream={"shape": (DAC,), "dated": (True, False)},
        # Rows that come while the table is read would make up for the missing ones, and a read that
        # goes on at a key knows nothing of them (docs/reliability.md).
        scene={"changing": (False,)},
        run={"stop_after": (None,), "is_killed": (False,)},
        refused=UNSENT,
    ),
    Trait("count too high", server={"hides": (3, 9), "counts": (True,)}),
    Trait("count of the answer", server={"counts_answer": (True,), "cap": (7, 25)}),
    Trait("count up to the limit", server={"counts_to": (9,), "cap": (9, 9, (5, 9))}),
    Trait(
        "count up to the answer",
        server={"counts_skipped": (True,), "cap": (7, 25, (5, 12, 25))},
    ),
    Trait(
        "settings change",
        server={"archives": (3,)},
        settings={
            "start_date": (None, timedelta(days=20), timedelta(days=3)),
            "include_archived": (True, False),
            "page_size": (10, 13, 50),
            "max_pool_size": (1, 2, 4),
        },
    ),
    Trait(
        "killed runs",
        server={"precision": (1_000_000,), "rounds": (True,)},
        content={"rows": (30, 80, 200)},
        stream={"dated": (True,), "shape": KEYED},
        scene={"late": (False,)},
        run={"is_killed": (True,)},
        displays=PROVED_DISPLAYS,
    ),
    Trait(
        "ties",
        server={"formulas": (frozenset({"Version", "K0", "K1", "K2", "K3"}),)},
        stream={"shape": KEYLESS, "dated": (False,)},
        refused=KEYLESS_REFUSED,
    ),
    Trait(
        "repeated rows",
        server={"copies": (2, 4)},
        stream={"shape": KEYLESS},
        refused=KEYLESS_REFUSED,
    ),
    Trait("rows ahead", content={"ahead": (True,)}, refused=AHEAD_REFUSED),
    Trait("London", displays=LONDON_DISPLAYS, content={"quiet": (0 * HOUR, 2 * HOUR)}),
    Trait(
        "misread zone",
        displays=MISREAD_DISPLAYS,
        content={"quiet": QUIET},
        first_content={"ancient": (1.0, 0.02), "restless": (True, False), "rows": (1, 30)},
        refused=ZONE_REFUSED,
    ),
    Trait(
        "one misread stream",
        displays=MISREAD_DISPLAYS,
        content={"quiet": QUIET},
        stream={"shape": INQUIRIES},
        streams=2,
        only_last=True,
        refused=ZONE_REFUSED,
    ),
    Trait(
        "equal keys",
        server={"collates": (True,), "equal_keys": (True,)},
        content={"kinds": TEXT_KEYS, "rows": (60, 200)},
        stream={"shape": (DAC,), "dated": (False,)},
    ),
    Trait(
        "equal keys by place",
        server={"collates": (True,), "equal_keys": (True,)},
        content={"kinds": TEXT_KEYS, "rows": (60, 200)},
        stream={"shape": KEYED, "dated": (False, False, True)},
    ),
    Trait(
        "filters apart",
        server={"collates": (True,), "filters_apart": (True,)},
        # As many rows that are deleted hide those that were passed over (docs/reliability.md).
        content={"kinds": TEXT_KEYS, "rows": (60, 200), "shrinks": (False,)},
        stream={"shape": KEYED, "dated": (False, False, True)},
        # A read that goes on at a key does not see all of this (docs/incremental.md).
        run={"stop_after": (None,), "is_killed": (False,)},
        refused="ignored .filter",
    ),
    Trait(
        "cap of the table's size",
        server={"cap": (25, 30), "counts": (True,), "counts_apart": (True,)},
        content={"rows": (25, 30)},
        stream={"dated": (False, False, True)},
        settings={"page_size": (50, 100)},
    ),
    Trait(
        "many changes in a second",
        server={"precision": (1_000_000,)},
        content={"pace": (SECOND, 2 * SECOND), "rows": (1, 5, 30)},
        stream={"dated": (True,)},
        scene={"late": (False,), "changing": (True,)},
        displays=(NEVER_PROVED,),
    ),
    Trait(
        "web page",
        server={
            "failure": (RawResponse("", 403, {"Content-Type": "text/html"}, WEB_PAGE),),
            "failing_after": (0, 3, 12),
        },
        refused="web page|Request blocked",
    ),
    Trait("column later", content={"columns": (1,)}, scene={"column_later": (True,)}),
    Trait(
        "column gone",
        content={"columns": (1,)},
        scene={"column_gone": (True,)},
        refused="no longer has the column|run discovery again",
    ),
    Trait("another site", scene={"moves": (True,)}, refused="The state is of the site"),
    Trait(
        "changing rows",
        # Without a proof of the zone the part behind the clock is much of the read, and with clocks
        # that differ it ends early: the next run has to read what a bulk update has moved there.
        content={"quiet": (900 * HOUR,), "rows": (30, 60)},
        scene={"owes_changed": (True,), "late": (False,)},
        displays=PROVED_DISPLAYS,
    ),
    Trait("restless row", content={"restless": (True,)}, scene={"changing": (True,)}),
    Trait(
        "tenants in turn",
        stream={"dated": (False, True)},
        scene={"tenants": (("North", "South"),), "in_turn": (True,)},
        refused="retire",
        settings={"full_read_interval": (None, 0)},
    ),
    Trait(
        "answer of another table",
        scene={"slips_at": (1, 2, 3, 4, 6, 9)},
        streams=2,
        refused="do not fit the catalog|answered the request for",
    ),
    # A seam may show a row that has changed, also in a table that rests otherwise.
    Trait(
        "inner pages",
        server={"inner_page": (4, 9, 20)},
        refused=KEYLESS_CHANGES_REFUSED,
    ),
    Trait(
        "generations",
        content={"renames": (True, False), "rows": (None, None, 30, 80)},
        stream={"shape": (DAC, DAC, *KEYED, KEYLESS[-1]), "dated": (True, True, False)},
        scene={
            "rights_change": (True,),
            "manners": MANNERS,
            "tenants": ((None,), ("North", "South"), ("North", "South", "West")),
        },
        run={"hides": (None, None, 2, 9), "is_killed": (False, False, True)},
        settings={"full_read_interval": (0,), "full_read_max_loss": (20, 100, 100)},
        refused=KEYLESS_REFUSED,
    ),
    Trait("no key", stream={"shape": (Shape(keyed=False), *KEYLESS)}, refused=KEYLESS_REFUSED),
)
