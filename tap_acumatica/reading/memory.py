"""What a state remembers of the columns that a stream was read with.

A code of six characters stands for each column: four for its path, two for its type. States are
written often, and a stream can have hundreds of columns.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH_LENGTH: Final = 4
TYPE_LENGTH: Final = 2
SCHEMA_LENGTH: Final = 10
CODE_LENGTH: Final = PATH_LENGTH + TYPE_LENGTH

MAX_CACHED_CODES: Final = 10_000
"""Maximum number of codes that are cached: streams have most names of columns in common, and
tenants all of them."""


def column_codes(columns: Mapping[str, edm.EdmType]) -> str:
    """Return the codes of these columns, and of those of related records, in order."""
    codes = (path_code(path) + type_code(kind) for path, kind in column_types(columns).items())
    return "".join(sorted(codes))


def remembered(codes: str) -> dict[str, str]:
    """Return the code of each column's type by the code of its path."""
    each = (codes[at : at + CODE_LENGTH] for at in range(0, len(codes), CODE_LENGTH))
    return {code[:PATH_LENGTH]: code[PATH_LENGTH:] for code in each}


def column_types(columns: Mapping[str, edm.EdmType]) -> dict[str, str]:
    """Return the name of each column's type by the column's path."""
    return dict(_paths(columns))


def path_code(path: str) -> str:
    """Return the code of a column's path."""
    return _hash(path, PATH_LENGTH)


def type_code(kind: str) -> str:
    """Return the code of a type's name."""
    return _hash(kind, TYPE_LENGTH)


def schema_code(schema: bytes) -> str:
    """Return the code of an encoded SCHEMA message."""
    return urlsafe_b64encode(sha256(schema).digest()).decode()[:SCHEMA_LENGTH]


def type_words(kind: str) -> str:
    """Return the name of a type for people."""
    words = [word for word in kind.split("/") if word]
    return words[-1]


def _paths(columns: Mapping[str, edm.EdmType], parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield each column's path and the name of its type, also of columns within columns."""
    for name, edm_type in columns.items():
        schema = edm_type.schema
        yield parent + name, "/".join(edm.signature(schema))
        yield from _paths(edm.columns_of(schema.get("items", schema)), f"{parent}{name}/")


@lru_cache(MAX_CACHED_CODES)
def _hash(text: str, length: int) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).decode()[:length]


TYPES: Final[Mapping[str, str]] = {
    type_code(kind): type_words(kind)
    for kind in (
        "/".join(edm.signature(schema))
        for schema in (
            *(edm_type.schema for edm_type in edm.TYPES.values()),
            edm.INTEGER.schema,
            edm.UNKNOWN.schema,
            edm.decimals("decimal(38,10)"),
            {"type": "array"},
            {"type": "object"},
        )
    )
}
"""The names of types for people, by code."""
