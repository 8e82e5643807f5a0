"""The settings: their JSON schema. What it cannot express is in configuration.py.

Those of the sign-in are in account_settings.py.
"""

from __future__ import annotations

from typing import Any, Final

from singer_sdk import typing as th

from tap_acumatica.account_settings import ACCOUNT

SCHEMA: Final[dict[str, Any]] = th.PropertiesList(
    th.Property(
        "url",
        th.StringType(min_length=1),
        required=True,
        title="Address",
        description=(
            "The site (https://company.acumatica.com, a virtual directory allowed), or a full "
            "OData address as the browser shows it, such as "
            "https://company.acumatica.com/t/Company/api/odata/dac"
        ),
    ),
    th.Property(
        "tenants",
        th.ArrayType(th.StringType(min_length=1)),
        title="Tenants",
        description=(
            "Tenant login names; each becomes a partition with a bookmark of its own. Absent: the "
            "tenant in the address, or the instance's only one"
        ),
    ),
    th.Property(
        "tenant_column",
        th.StringType(min_length=1),
        default="_tenant",
        title="Tenant column",
        description="Column added to every record, first in the key, when tenants is set",
    ),
    th.Property(
        "interfaces",
        th.ArrayType(th.StringType(allowed_values=["dac", "gi"])),
        default=["dac", "gi"],
        title="Interfaces",
        description=(
            "What to discover: data access classes (dac), generic inquiries (gi) or both. A full "
            "OData address names its own"
        ),
    ),
    th.Property(
        "entities",
        th.ArrayType(th.StringType(min_length=1)),
        title="Entities",
        description=(
            "Which streams to discover, as globs matched without regard to case against the "
            "stream's name and every alias of its entity set (SOOrder, PX_Objects_GL_*, GI_*). The "
            "streams found are selected unless a catalog says otherwise"
        ),
    ),
    th.Property(
        "exclude_entities",
        th.ArrayType(th.StringType(min_length=1)),
        title="Excluded entities",
        description="Which streams not to discover, as globs like those of entities",
    ),
    *ACCOUNT,
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description=(
            "The first read of a dated stream starts here; later runs go on from their bookmark "
            "whatever it says"
        ),
    ),
    th.Property(
        "tracking_type",
        th.StringType,
        allowed_values=["date", "none"],
        default="date",
        title="Tracking type",
        description=(
            "date: read what changed since the last run, where an entity has a modified date; "
            "none: read every stream in full each time"
        ),
    ),
    th.Property(
        "replication_keys",
        th.ArrayType(th.StringType(min_length=1)),
        default=["LastModifiedDateTime", "LastModifiedDate", "LastModifiedOn"],
        title="Replication keys",
        description=(
            "Candidates, in order; the first one that an entity has, as a date-time that may be "
            "filtered, is its replication key"
        ),
    ),
    th.Property(
        "time_offset",
        th.IntegerType(minimum=0, maximum=31_536_000),
        default=3600,
        title="Time offset",
        description=(
            "Look-back under the bookmark, in seconds: the longest transaction plus the skew "
            "between the server's clocks"
        ),
    ),
    th.Property(
        "time_zone",
        th.StringType(min_length=1),
        title="Time zone",
        description=(
            "IANA name of the zone of values that carry no offset; must be the zone of the "
            "account's profile. UTC where not set"
        ),
    ),
    th.Property(
        "ignore_offsets",
        th.BooleanType,
        default=False,
        title="Ignore offsets",
        description=(
            "Read the wall clock of values with an offset in time_zone too, for releases that "
            "label them wrongly"
        ),
    ),
    th.Property(
        "convert_to_utc",
        th.BooleanType,
        default=True,
        title="Convert to UTC",
        description=(
            "Emit every instant in UTC; false: as the server labelled it. Midnight on the wall "
            "clock is a date and keeps its day, but for the replication key and columns named "
            "*DateTime"
        ),
    ),
    th.Property(
        "region",
        th.StringType(min_length=1),
        title="Region",
        description="Culture of multilingual fields, such as fr-FR, sent as Accept-Language",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=10, maximum=10000),
        default=2000,
        title="Page size",
        description="New rows asked for in one request",
    ),
    th.Property(
        "client_side_paging",
        th.BooleanType,
        default=True,
        title="Client-side paging",
        description=(
            "false: no $top is sent, the server decides on the pages and its nextLinks are followed"
        ),
    ),
    th.Property(
        "count",
        th.BooleanType,
        default=True,
        title="Count",
        description=(
            "Ask for $count with the first and the last page of a read; it saves the request "
            "that proves the end"
        ),
    ),
    th.Property(
        "verify_counts",
        th.BooleanType,
        default=False,
        title="Verify counts",
        description=(
            "Ask for the count again after each read; fewer distinct rows delivered than counted "
            "is an error. Takes memory for each row"
        ),
    ),
    th.Property(
        "data_format",
        th.StringType,
        allowed_values=["json", "atom"],
        default="json",
        title="Data format",
        description=(
            "atom: read services of OData 3 as Atom feeds, with the same records; those of OData 4 "
            "are always read as JSON"
        ),
    ),
    th.Property(
        "timeout",
        th.IntegerType(minimum=1, maximum=86_400),
        default=660,
        title="Timeout",
        description=(
            "Read timeout in seconds; above the 10 minutes that the server may queue a request"
        ),
    ),
    th.Property(
        "max_retry_time",
        th.IntegerType(minimum=0),
        default=900,
        title="Retry time",
        description=(
            "Patience with passing failures of one request, in seconds; time inside requests is "
            "not counted"
        ),
    ),
    th.Property(
        "enable_pooling",
        th.BooleanType,
        default=True,
        title="Pooling",
        description="false: one connection, closed after each request, its cookies kept",
    ),
    th.Property(
        "max_pool_size",
        th.IntegerType(minimum=1, maximum=64),
        default=1,
        title="Pool size",
        description=(
            "Connections, each a session of its own in Acumatica; the number of requests at once, "
            "for several streams or parts of a large one"
        ),
    ),
    th.Property(
        "pool_idle_timeout",
        th.IntegerType(minimum=1),
        default=60,
        title="Pool idle timeout",
        description="Seconds after which an idle connection is opened anew, its session kept",
    ),
    th.Property(
        "pool_wait_time",
        th.IntegerType(minimum=1),
        default=720,
        title="Pool wait time",
        description="Seconds to wait for a free connection before giving up",
    ),
    th.Property(
        "max_requests_per_minute",
        th.IntegerType(minimum=1, maximum=100_000),
        title="Requests per minute",
        description=(
            "Most requests in any minute, of all streams and tenants together; the sign-out in the "
            "end is not counted"
        ),
    ),
    th.Property(
        "max_url_length",
        th.IntegerType(minimum=256),
        default=2048,
        title="Longest query",
        description=(
            "Longest query string, in characters (IIS refuses more than 2048 by default); where "
            "the list of columns does not fit, all are asked for and dropped here"
        ),
    ),
    th.Property(
        "metadata_cache",
        th.StringType(min_length=1),
        title="Metadata cache",
        description=(
            "Folder in which the metadata (20 MB on a full instance) are kept for discoveries to "
            "come, one file for each site, tenant, account and interface; none where not set. A "
            "run that fails drops its files"
        ),
    ),
    th.Property(
        "metadata_max_age",
        th.IntegerType(minimum=0),
        default=86400,
        title="Metadata age",
        description="Seconds for which the files in metadata_cache count",
    ),
    th.Property(
        "verbosity",
        th.IntegerType(minimum=1, maximum=5),
        default=1,
        title="Verbosity",
        description=(
            "1: requests, row counts, start and end, errors; 2: and headers; 3: and bodies; 4: "
            "and transport; 5: everything. Secrets are masked at every level"
        ),
    ),
    th.Property(
        "extra_headers",
        th.ObjectType(additional_properties=th.StringType),
        title="Extra headers",
        description="Headers added to every request",
    ),
    th.Property(
        "extra_params",
        th.ObjectType(additional_properties=th.StringType),
        title="Extra parameters",
        description="Query parameters added to every request",
    ),
    th.Property(
        "secret_headers",
        th.ObjectType(additional_properties=th.StringType),
        secret=True,
        title="Secret headers",
        description="Headers added to every request and masked in the log",
    ),
    th.Property(
        "secret_params",
        th.ObjectType(additional_properties=th.StringType),
        secret=True,
        title="Secret parameters",
        description="Query parameters added to every request and masked in the log",
    ),
    th.Property(
        "ca_bundle",
        th.StringType(min_length=1),
        title="CA bundle",
        description="File with the certificates of a private certificate authority (PEM)",
    ),
    th.Property(
        "verify_ssl",
        th.BooleanType,
        default=True,
        title="Verify certificates",
        description="false: accept any certificate; for tests only",
    ),
    th.Property(
        "allow_http",
        th.BooleanType,
        default=False,
        title="Allow http",
        description="Send the password over plain http to another host than this one",
    ),
    th.Property(
        "include_archived",
        th.BooleanType,
        default=True,
        title="Archived rows",
        description="Read archived rows too (an archived document leaves normal reads)",
    ),
    th.Property(
        "include_deleted",
        th.BooleanType,
        default=False,
        title="Soft-deleted rows",
        description="Read rows too that are marked deleted",
    ),
    th.Property(
        "expand",
        th.ObjectType(additional_properties=th.ArrayType(th.StringType(min_length=1))),
        title="Related records",
        description=(
            "For each stream (by name or alias) the navigation properties to read along, each with "
            "the columns to take of it or with all: "
            '{"GLTran": ["AccountByAccountID(AccountCD,Description)"]}'
        ),
    ),
    th.Property(
        "inquiry_parameters",
        th.ObjectType(additional_properties=th.ObjectType(additional_properties=True)),
        title="Inquiry parameters",
        description=(
            "For each inquiry that has parameters, by its stream's name or title, their values; "
            "null for one without a value"
        ),
    ),
    th.Property(
        "inquiry_keys",
        th.ObjectType(additional_properties=th.ArrayType(th.StringType(min_length=1))),
        title="Inquiry keys",
        description=(
            "For each inquiry, by its stream's name or title, the columns that tell its rows "
            "apart; without them its records are appended"
        ),
    ),
    th.Property(
        "decimals_as_strings",
        th.BooleanType,
        default=False,
        title="Decimals as strings",
        description="Emit decimals as x-singer.decimal strings in place of JSON numbers",
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        title="ACTIVATE_VERSION",
        description=(
            "After each completely read full table, tell the target to retire the rows that are "
            "gone"
        ),
    ),
).to_dict()

SECRETS: Final = frozenset(
    name for name, schema in SCHEMA["properties"].items() if schema.get("secret")
)
