"""What a state remembers of the columns that a stream was read with.

A code of six characters stands for each column: four for its path, two for its type. States are
written often, and a stream can have hundreds of columns.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATH_LENGTH: Final = 4
TYPE_LENGTH: Final = 2
CODE_LENGTH: Final = PATH_LENGTH + TYPE_LENGTH


def column_codes(columns: Mapping[str, edm.EdmType]) -> str:
    """Return the codes of these columns, and of those of related records, in order."""
    return "".join(sorted(_codes(columns).values()))


def later_columns(memory: str, columns: Mapping[str, edm.EdmType]) -> list[str]:
    """Return the paths of the columns that were not read when the memory was written."""
    codes = (memory[at : at + CODE_LENGTH] for at in range(0, len(memory), CODE_LENGTH))
    known = {code[:PATH_LENGTH] for code in codes}
    return [path for path, code in _codes(columns).items() if code[:PATH_LENGTH] not in known]


def _codes(columns: Mapping[str, edm.EdmType]) -> dict[str, str]:
    return {
        path: _hash(path, PATH_LENGTH) + _hash(type_name, TYPE_LENGTH)
        for path, type_name in _paths(columns)
    }


def _paths(columns: Mapping[str, edm.EdmType], parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield each column's path and the name of its type, also of columns within columns."""
    for name, edm_type in columns.items():
        schema = edm_type.schema
        yield parent + name, "/".join(edm.signature(schema))
        yield from _paths(edm.columns_of(schema.get("items", schema)), f"{parent}{name}/")


def _hash(text: str, length: int) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).decode()[:length]
