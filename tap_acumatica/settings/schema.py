"""The JSON schema of the settings; validation.py and accounts.py check what it cannot express.

`make docs` generates docs/settings.md and the settings in meltano.yml from it.
"""

from __future__ import annotations

from typing import Any, Final

from singer_sdk import typing as th

from tap_acumatica.settings.presets import MODULES, PRESETS

SCHEMA: Final[dict[str, Any]] = th.PropertiesList(
    th.Property(
        "url",
        th.StringType(min_length=1),
        required=True,
        title="Address",
        description=(
            "Address of the site (https://company.acumatica.com, with or without a virtual "
            "directory), or a full OData address as the browser shows it, such as "
            "https://company.acumatica.com/t/Company/api/odata/dac"
        ),
    ),
    th.Property(
        "tenants",
        th.ArrayType(th.StringType(min_length=1)),
        title="Tenants",
        description=(
            "Login names of the tenants to read; each becomes a partition with its own bookmark. "
            "If not set: the tenant in the address, or the instance's only tenant"
        ),
    ),
    th.Property(
        "tenant_column",
        th.StringType(min_length=1),
        default="_tenant",
        title="Tenant column",
        description="Column that is added to every record, first in the key, if tenants is set",
    ),
    th.Property(
        "interfaces",
        th.ArrayType(th.StringType(allowed_values=["dac", "gi"])),
        default=["dac", "gi"],
        title="Interfaces",
        description=(
            "What to discover: data access classes (dac), generic inquiries (gi) or both. A full "
            "OData address limits this to its own interface"
        ),
    ),
    th.Property(
        "entities",
        th.ArrayType(th.StringType(min_length=1)),
        title="Entities",
        description=(
            "Streams to discover, as globs that are matched, ignoring case, against the stream's "
            "name and every alias of its entity set (SOOrder, PX_Objects_GL_*, GI_*). The streams "
            "found are selected unless a catalog says otherwise"
        ),
    ),
    th.Property(
        "presets",
        th.ArrayType(th.StringType(allowed_values=list(PRESETS))),
        title="Presets",
        description=(
            f"Modules whose usual entities to discover, beside those of entities: "
            f"{', '.join(MODULES)}, or one part of a module, such as finance-documents and "
            "finance-reference. What the instance lacks of them is left out"
        ),
    ),
    th.Property(
        "exclude_entities",
        th.ArrayType(th.StringType(min_length=1)),
        title="Excluded entities",
        description="Streams not to discover, as globs like those of entities",
    ),
    th.Property(
        "auth_method",
        th.StringType,
        allowed_values=["basic", "oauth"],
        default="basic",
        title="Sign-in",
        description=(
            "basic: user name and password with each request; oauth: access tokens, through a "
            "connected application (SM303010)"
        ),
    ),
    th.Property(
        "username",
        th.StringType(min_length=1),
        title="User name",
        description="Login of the service account, without a tenant suffix",
    ),
    th.Property(
        "password",
        th.StringType(min_length=1),
        secret=True,
        title="Password",
        description="Password of the service account",
    ),
    th.Property(
        "client_id",
        th.StringType(min_length=1),
        title="Client ID",
        description=(
            "Client ID of the connected application: GUID@Tenant, or the GUID alone, to which the "
            "tap adds the tenant that it reads"
        ),
    ),
    th.Property(
        "client_secret",
        th.StringType(min_length=1),
        secret=True,
        title="Client secret",
        description="Shared secret of the connected application",
    ),
    th.Property(
        "scope",
        th.StringType(min_length=1),
        default="api openid offline_access",
        title="Scope",
        description=(
            "Scopes to request at sign-in: api for OData, offline_access for refresh tokens, "
            "api:concurrent_access for a session for each connection"
        ),
    ),
    th.Property(
        "refresh_token",
        th.StringType(min_length=1),
        secret=True,
        title="Refresh token",
        description=(
            "First refresh token, if it was not obtained with tap-acumatica login; those that "
            "follow are kept in token_file"
        ),
    ),
    th.Property(
        "token_file",
        th.StringType(min_length=1),
        title="Token file",
        description=(
            "File in which tap-acumatica login and each renewal store the tokens; runs on one "
            "machine share it"
        ),
    ),
    th.Property(
        "callback_url",
        th.StringType(min_length=1),
        default="http://localhost:8400/callback",
        title="Callback address",
        description=(
            "Redirect URI of the connected application; tap-acumatica login listens on its port"
        ),
    ),
    th.Property(
        "authorization_url",
        th.StringType(min_length=1),
        title="Authorization address",
        description=(
            "Address at which people sign in, if it is not the one that the site announces "
            "(identity/connect/authorize)"
        ),
    ),
    th.Property(
        "access_token_url",
        th.StringType(min_length=1),
        title="Token address",
        description=(
            "Address that issues tokens, if it is not the one that the site announces "
            "(identity/connect/token)"
        ),
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description=(
            "Start of the first read of an incremental stream; later runs continue from their "
            "bookmark, unless the start date is moved back or removed"
        ),
    ),
    th.Property(
        "tracking_type",
        th.StringType,
        allowed_values=["date", "none"],
        default="date",
        title="Tracking type",
        description=(
            "date: read what has changed since the last run, if the entity has a modified date; "
            "none: read every stream in full in every run"
        ),
    ),
    th.Property(
        "replication_keys",
        th.ArrayType(th.StringType(min_length=1)),
        default=["LastModifiedDateTime", "LastModifiedDate", "LastModifiedOn"],
        title="Replication keys",
        description=(
            "Candidates for the replication key, in order; the first one that an entity has as a "
            "filterable date-time column is used"
        ),
    ),
    th.Property(
        "time_offset",
        th.IntegerType(minimum=0, maximum=31_536_000),
        default=3600,
        title="Time offset",
        description=(
            "Look-back before the bookmark, in seconds: the longest transaction plus the skew "
            "between the server's clocks"
        ),
    ),
    th.Property(
        "time_zone",
        th.StringType(min_length=1),
        title="Time zone",
        description=(
            "IANA name of the time zone of values without an offset; must be the time zone of the "
            "account's profile. UTC if not set"
        ),
    ),
    th.Property(
        "ignore_offsets",
        th.BooleanType,
        default=False,
        title="Ignore offsets",
        description=(
            "Read the wall-clock time of values with an offset in time_zone as well, for releases "
            "that label them wrongly"
        ),
    ),
    th.Property(
        "convert_to_utc",
        th.BooleanType,
        default=True,
        title="Convert to UTC",
        description=(
            "Emit every timestamp in UTC; false: with the offset that the server sent, which most "
            "targets drop. Midnight on the wall clock is a date and keeps its day, except in the "
            "replication key and in columns named *DateTime"
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
        description="Number of new rows to request in one page",
    ),
    th.Property(
        "client_side_paging",
        th.BooleanType,
        default=True,
        title="Client-side paging",
        description=(
            "false: send no $top, let the server decide on the pages and follow its nextLinks"
        ),
    ),
    th.Property(
        "count",
        th.BooleanType,
        default=True,
        title="Count",
        description=(
            "Request $count with the first and the last page of a read; this saves the request "
            "that would otherwise prove the end"
        ),
    ),
    th.Property(
        "verify_counts",
        th.BooleanType,
        default=False,
        title="Verify counts",
        description=(
            "Request the count again after each read; it is an error if fewer distinct rows were "
            "delivered than counted. Takes memory for each row"
        ),
    ),
    th.Property(
        "data_format",
        th.StringType,
        allowed_values=["json", "atom"],
        default="json",
        title="Data format",
        description=(
            "atom: read OData 3 services as Atom feeds, with the same records; OData 4 services "
            "are always read as JSON"
        ),
    ),
    th.Property(
        "timeout",
        th.IntegerType(minimum=1, maximum=86_400),
        default=660,
        title="Timeout",
        description=(
            "Read timeout in seconds: a response must begin within it, and then bring 1,000 bytes "
            "per second over each such period; the default is above the 10 minutes for which the "
            "server may queue a request"
        ),
    ),
    th.Property(
        "max_response_size",
        th.IntegerType(minimum=1),
        default=256,
        title="Response size",
        description=(
            "Largest response in megabytes, decompressed; of a larger one fewer rows are requested"
        ),
    ),
    th.Property(
        "max_retry_time",
        th.IntegerType(minimum=0),
        default=900,
        title="Retry time",
        description=(
            "Longest time to pause between the retries of one request, in seconds in total; time "
            "inside requests is not counted"
        ),
    ),
    th.Property(
        "enable_pooling",
        th.BooleanType,
        default=True,
        title="Pooling",
        description="false: use one connection, close it after each request and keep its cookies",
    ),
    th.Property(
        "max_pool_size",
        th.IntegerType(minimum=1, maximum=64),
        default=1,
        title="Pool size",
        description=(
            "Number of connections, each with its own session in Acumatica, and so of simultaneous"
            " requests, for several streams or for slices of a large one"
        ),
    ),
    th.Property(
        "pool_idle_timeout",
        th.IntegerType(minimum=1),
        default=60,
        title="Pool idle timeout",
        description="Seconds after which an idle connection is reopened; it keeps its session",
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
            "Maximum number of requests in any minute, over all streams and tenants; the sign-out "
            "at the end is not counted"
        ),
    ),
    th.Property(
        "max_url_length",
        th.IntegerType(minimum=256),
        default=2048,
        title="Longest query",
        description=(
            "Maximum length of the query string, in characters (IIS refuses more than 2048 by "
            "default); if the list of columns does not fit, the tap requests all columns and drops"
            " the surplus itself"
        ),
    ),
    th.Property(
        "metadata_cache",
        th.StringType(min_length=1),
        title="Metadata cache",
        description=(
            "Folder in which to keep the metadata (20 MB on a full instance) for later "
            "discoveries, in one file for each site, tenant, account and interface, and what setup "
            "data are missing; no cache if not set. A run that fails deletes its files"
        ),
    ),
    th.Property(
        "metadata_max_age",
        th.IntegerType(minimum=0),
        default=86400,
        title="Metadata age",
        description="Seconds for which the files in metadata_cache are valid",
    ),
    th.Property(
        "verbosity",
        th.IntegerType(minimum=1, maximum=5),
        default=1,
        title="Verbosity",
        description=(
            "1: a line for each stream and tenant, start and end, errors; 2: also requests and "
            "headers; 3: also bodies and whole URLs; 4: also transport; 5: everything. Secrets are "
            "masked at every level"
        ),
    ),
    th.Property(
        "run_report",
        th.StringType(min_length=1),
        title="Run report",
        description=(
            "File for the report of the run (JSON), written at its start and replaced at its end; "
            "{run} in the path stands for the run's name"
        ),
    ),
    th.Property(
        "sync_log",
        th.BooleanType,
        default=False,
        title="Sync log",
        description=(
            "Add the stream sync_log, with a record for each stream that was read: when, how many "
            "rows, and how that was proved"
        ),
    ),
    th.Property(
        "schema_changes",
        th.StringType,
        allowed_values=["warn", "fail"],
        default="warn",
        title="Schema changes",
        description=(
            "What to do if streams are not what the state remembers of them, such as a column that "
            "was added, removed or retyped: warn and read on, or fail before anything is read"
        ),
    ),
    th.Property(
        "extra_headers",
        th.ObjectType(additional_properties=th.StringType),
        title="Extra headers",
        description="Headers to add to every request",
    ),
    th.Property(
        "extra_params",
        th.ObjectType(additional_properties=th.StringType),
        title="Extra parameters",
        description="Query parameters to add to every request for rows",
    ),
    th.Property(
        "secret_headers",
        th.ObjectType(additional_properties=th.StringType),
        secret=True,
        title="Secret headers",
        description="Headers to add to every request, masked in the log",
    ),
    th.Property(
        "secret_params",
        th.ObjectType(additional_properties=th.StringType),
        secret=True,
        title="Secret parameters",
        description="Query parameters to add to every request for rows, masked in the log",
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
        description="Send the password over plain http to hosts other than this machine",
    ),
    th.Property(
        "include_archived",
        th.BooleanType,
        default=True,
        title="Archived rows",
        description="Also read archived rows (an archived document leaves normal reads)",
    ),
    th.Property(
        "include_deleted",
        th.BooleanType,
        default=False,
        title="Soft-deleted rows",
        description=(
            "Also read rows that are marked as deleted, dated in the column _sdc_deleted_at, which "
            "takes a request more for each page"
        ),
    ),
    th.Property(
        "expand",
        th.ObjectType(additional_properties=th.ArrayType(th.StringType(min_length=1))),
        title="Related records",
        description=(
            "Navigation properties to read with each stream (by name or alias), each with all of "
            'its columns or with those in parentheses: {"GLTran": '
            '["AccountByAccountID(AccountCD,Description)"]}'
        ),
    ),
    th.Property(
        "inquiry_parameters",
        th.ObjectType(additional_properties=th.ObjectType(additional_properties=True)),
        title="Inquiry parameters",
        description=(
            "Parameter values of each inquiry that has parameters, by its stream's name or its "
            "title; null for a parameter without a value"
        ),
    ),
    th.Property(
        "inquiry_keys",
        th.ObjectType(additional_properties=th.ArrayType(th.StringType(min_length=1))),
        title="Inquiry keys",
        description=(
            "Columns that identify the rows of an inquiry, by its stream's name or its title; "
            "without them its records are appended"
        ),
    ),
    th.Property(
        "decimals",
        th.StringType(min_length=1),
        default="number",
        title="Decimals",
        description=(
            "number: JSON numbers with the digits that the server sent; decimal(38,10), or another "
            "precision and scale: x-singer.decimal strings, for targets that make a column of that "
            "type of them; text: strings, for targets that would make floats of both"
        ),
    ),
    th.Property(
        "trim_strings",
        th.BooleanType,
        default=False,
        title="Trim strings",
        description=(
            "Cut the blanks at the end of texts, which pad codes of a fixed width, in keys too"
        ),
    ),
    th.Property(
        "rebuild_records",
        th.BooleanType,
        default=False,
        title="Rebuild records",
        description=(
            "Decode and encode each record, even if its text could pass as the server sent it: the "
            "same records, but slower. For comparisons, if values in the warehouse are in doubt"
        ),
    ),
    th.Property(
        "batch_config",
        th.ObjectType(
            th.Property(
                "encoding",
                th.ObjectType(
                    th.Property("format", th.StringType, allowed_values=["jsonl"]),
                    th.Property("compression", th.StringType, allowed_values=["gzip"]),
                    additional_properties=False,
                ),
            ),
            th.Property(
                "storage",
                th.ObjectType(
                    th.Property("root", th.StringType(min_length=1), required=True),
                    th.Property("prefix", th.StringType(pattern=r"^[A-Za-z0-9_-]{0,100}$")),
                    additional_properties=False,
                ),
                required=True,
            ),
            th.Property("batch_size", th.IntegerType(minimum=1)),
            th.Property("batch_age", th.IntegerType(minimum=1)),
            additional_properties=False,
        ),
        title="Batches",
        description=(
            "Write records into files of JSON lines with gzip, for targets that take batches, in a "
            'folder that only this pipeline uses: {"storage": {"root": "file:///var/batches"}}; a '
            "batch ends after batch_size records (10000) or batch_age seconds (300)"
        ),
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        title="ACTIVATE_VERSION",
        description=(
            "After each table that was read completely, in full or by full_read_interval, tell the "
            "target to retire the rows that are gone"
        ),
    ),
    th.Property(
        "full_read_interval",
        th.CustomType(
            {
                "type": ["object", "integer"],
                "minimum": 0,
                "additionalProperties": {"type": "integer", "minimum": 0},
            }
        ),
        title="Interval of full reads",
        description=(
            "Hours after which an incremental stream is also read in full (0: in each run), or "
            'such hours by globs: {"*": 168, "GLTran": 720}; with emit_activate_version_messages '
            "the rows that are gone are retired then"
        ),
    ),
    th.Property(
        "full_read_max_loss",
        th.IntegerType(minimum=0, maximum=100),
        default=20,
        title="Largest loss",
        description=(
            "Percentage of a tenant's rows that a full read may bring fewer than the last one; if "
            "more are missing, no rows are retired, since the account may have lost rights to them"
        ),
    ),
).to_dict()

SECRETS: Final = frozenset(
    name for name, schema in SCHEMA["properties"].items() if schema.get("secret")
)
