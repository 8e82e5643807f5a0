"""Prints the column types of one target for the JSON Schemas on stdin.

The target's own Python runs this file, so it imports nothing else of the project.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

TypeMapping = Callable[[dict[str, Any]], object]


def meltanolabs_target_postgres() -> TypeMapping:
    """Return the type mapping of meltanolabs-target-postgres."""
    from sqlalchemy.dialects import postgresql
    from target_postgres.connector import PostgresConnector

    connector = PostgresConnector({"sqlalchemy_url": "postgresql+psycopg://user@127.0.0.1/none"})
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's
    return lambda schema: connector.to_sql_type(schema).compile(dialect=dialect)


def meltanolabs_target_snowflake() -> TypeMapping:
    """Return the type mapping of meltanolabs-target-snowflake."""
    from snowflake.sqlalchemy.snowdialect import SnowflakeDialect
    from target_snowflake.connector import SnowflakeConnector

    connector = SnowflakeConnector({"account": "none", "user": "none", "password": "none"})
    return lambda schema: connector.to_sql_type(schema).compile(dialect=SnowflakeDialect())


def z3_target_bigquery() -> TypeMapping:
    """Return the type mapping of z3-target-bigquery with `denormalized`."""
    from target_bigquery.core import SchemaTranslator

    def column(schema: dict[str, Any]) -> str:
        columns = {"type": "object", "properties": {"column": schema}}
        (field,) = SchemaTranslator(columns, transforms={}).translated_schema
        return f"REPEATED {field.field_type}" if field.mode == "REPEATED" else field.field_type

    return column


def pipelinewise_target_postgres() -> TypeMapping:
    """Return the type mapping of pipelinewise-target-postgres."""
    from target_postgres.db_sync import column_type

    return column_type  # type: ignore[no-any-return] # only its own environment knows it


def target_duckdb() -> TypeMapping:
    """Return the type mapping of target-duckdb."""
    from target_duckdb.db_sync import column_type

    return column_type  # type: ignore[no-any-return] # only its own environment knows it


if __name__ == "__main__":
    type_of: TypeMapping = globals()[sys.argv[1].replace("-", "_")]()
    schemas = json.load(sys.stdin)
    json.dump({name: str(type_of(schema)) for name, schema in schemas.items()}, sys.stdout)
