"""The data access classes: types, columns, keys, restrictions and entity-set names."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Literal

DATA = Path(__file__).parent / "data"
Kind = Literal["entityset", "singleton", "none"]

# Date-times that are instants although their name does not end in DateTime.
INSTANTS = frozenset(
    {
        "CreationDate",
        "GotReadyForArchiveAt",
        "LastActivityDate",
        "LastLockedOutDate",
        "LastLoginDate",
        "LastPasswordChangedDate",
        "LockedOutDate",
        "DateEntered",
    }
)


@dataclass(frozen=True, slots=True)
class Property:
    """A property as a type declares it.

    Attributes:
        instant: Whether a date-time is an instant although its name does not tell.
        formula: Computed after the query, so that no filter and no order can use it.
    """

    name: str
    type: str
    required: bool = False
    restricted: bool = False
    label: str = ""
    instant: bool = False
    formula: bool = False

    @property
    def is_date(self) -> bool:
        """Whether a date-time is a pure date, which no time zone moves."""
        instant = self.instant or self.name.endswith("DateTime") or self.name in INSTANTS
        return self.type == "Edm.DateTimeOffset" and not instant


@dataclass(frozen=True, slots=True)
class Navigation:
    """A navigation property.

    Attributes:
        on: Pairs of the columns, here and there, whose values are equal in related rows.
    """

    name: str
    target: str
    many: bool = False
    on: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A property of a type or of its bases, and where it is stored."""

    declared: Property
    stored_as: str
    restricted: bool

    @property
    def name(self) -> str:
        """The property's name."""
        return self.declared.name


@dataclass(frozen=True, eq=False)
class EntityType:
    """A data access class.

    Attributes:
        name: Qualified name.
        own_key: Key columns that the type itself declares.
        sets: Every name under which the container offers the type, the generated one first.
        status: What a read answers; 200 gives the rows.
        undeclared: What is stored, but not declared, as of a feature that is switched off.
    """

    name: str
    label: str = ""
    base: EntityType | None = None
    own_key: tuple[str, ...] = ()
    properties: tuple[Property, ...] = ()
    navigations: tuple[Navigation, ...] = ()
    sets: tuple[str, ...] = ()
    kind: Kind = "entityset"
    filterable: bool = True
    status: int = HTTPStatus.OK
    made: bool = False
    undeclared: tuple[Property, ...] = ()

    @property
    def namespace(self) -> str:
        """The part before the class name."""
        return self.name.rpartition(".")[0]

    @property
    def short_name(self) -> str:
        """The class name."""
        return self.name.rpartition(".")[2]

    @property
    def root(self) -> EntityType:
        """The base type in whose table the rows are stored."""
        return self if self.base is None else self.base.root

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Key columns, its own or those of the base."""
        return self.own_key if self.base is None else self.own_key or self.base.key

    @cached_property
    def columns(self) -> dict[str, Column]:
        """All columns by lower-case name, those of the bases first."""
        columns = {} if self.base is None else dict(self.base.columns)
        for each in self.properties:
            stored_as = each.name if self.base is None else f"{self.short_name}.{each.name}"
            restricted = each.restricted or not self.filterable
            columns.setdefault(each.name.lower(), Column(each, stored_as, restricted))
        return columns

    @cached_property
    def readable(self) -> tuple[Column, ...]:
        """The columns that a read without ``$select`` returns."""
        return tuple(column for column in self.columns.values() if not column.restricted)

    @cached_property
    def stored(self) -> tuple[Column, ...]:
        """The columns that are kept: restricted ones only where they are keys."""
        key = set(self.key)
        kept = [each for each in self.columns.values() if not each.restricted or each.name in key]
        return (*kept, *(Column(each, each.name, restricted=False) for each in self.undeclared))

    def stored_as(self, name: str) -> str:
        """Where a column is stored, declared or not."""
        column = self.columns.get(name.lower())
        return column.stored_as if column else name

    @cached_property
    def navigations_by_name(self) -> dict[str, Navigation]:
        """All navigation properties by lower-case name, those of the bases first."""
        found = {} if self.base is None else dict(self.base.navigations_by_name)
        found.update({each.name.lower(): each for each in self.navigations})
        return found

    @cached_property
    def bases(self) -> tuple[EntityType, ...]:
        """The type and all types it derives from, but the root."""
        return () if self.base is None else (*self.base.bases, self)


@dataclass(frozen=True, eq=False)
class Model:
    """All types, in the order of the metadata."""

    types: tuple[EntityType, ...]
    extra_schema: str = ""  # complex types and enums, as ready-made schema elements
    by_name: dict[str, EntityType] = field(init=False, repr=False)
    by_set: dict[str, EntityType] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the types by every name under which they can be asked for."""
        object.__setattr__(self, "by_name", {each.name.lower(): each for each in self.types})
        by_set = {name.lower(): each for each in self.types for name in each.sets}
        object.__setattr__(self, "by_set", by_set)

    def find(self, name: str) -> EntityType:
        """The type of an entity-set or qualified name.

        Raises:
            KeyError: There is none.
        """
        lower = name.lower()
        return self.by_set[lower] if lower in self.by_set else self.by_name[lower]

    def derived_from(self, root: EntityType) -> list[EntityType]:
        """The types stored in the table of a root, without the root."""
        return [each for each in self.types if each.base is not None and each.root is root]


# Where a foreign key leads, for the navigation properties: a type, and its column.
TARGETS = {
    "AccountID": ("PX.Objects.GL.Account", "AccountID"),
    "BAccountID": ("PX.Objects.CR.BAccount", "BAccountID"),
    "BillAddressID": ("PX.Objects.CR.Address", "AddressID"),
    "BillContactID": ("PX.Objects.CR.Contact", "ContactID"),
    "ContactID": ("PX.Objects.CR.Contact", "ContactID"),
    "CreatedByID": ("PX.SM.Users", "PKID"),
    "CustomerID": ("PX.Objects.AR.Customer", "BAccountID"),
    "DefAddressID": ("PX.Objects.CR.Address", "AddressID"),
    "DefContactID": ("PX.Objects.CR.Contact", "ContactID"),
    "InventoryID": ("PX.Objects.IN.InventoryItem", "InventoryID"),
    "LastModifiedByID": ("PX.SM.Users", "PKID"),
    "ParentBAccountID": ("PX.Objects.CR.BAccount", "BAccountID"),
    "ShipAddressID": ("PX.Objects.CR.Address", "AddressID"),
    "ShipContactID": ("PX.Objects.CR.Contact", "ContactID"),
    "SubID": ("PX.Objects.GL.Sub", "SubID"),
    "TermsID": ("PX.Objects.CS.Terms", "TermsID"),
    "VendorID": ("PX.Objects.AP.Vendor", "BAccountID"),
}
# What belongs to a document or a master record, by pairs of columns.
DETAILS = {
    "PX.Objects.AR.ARInvoice": {"PX.Objects.AR.ARTran": "DocType=TranType RefNbr=RefNbr"},
    "PX.Objects.CR.BAccount": {
        "PX.Objects.CR.Contact": "BAccountID=BAccountID",
        "PX.Objects.CR.Address": "BAccountID=BAccountID",
    },
    "PX.Objects.GL.Batch": {"PX.Objects.GL.GLTran": "Module=Module BatchNbr=BatchNbr"},
    "PX.Objects.IN.InventoryItem": {
        "PX.Objects.IN.INLocationStatus": "InventoryID=InventoryID",
        "PX.Objects.IN.INTran": "InventoryID=InventoryID",
    },
    "PX.Objects.PO.POOrder": {
        "PX.Objects.PO.POLine": "OrderType=OrderType OrderNbr=OrderNbr",
    },
    "PX.Objects.SO.SOOrder": {
        "PX.Objects.SO.SOLine": "OrderType=OrderType OrderNbr=OrderNbr",
    },
}
# The foreign keys of ledger lines: the metadata has their navigation properties alone.
UNDECLARED = {
    "PX.Objects.GL.GLTran": (Property("AccountID", "Edm.Int32"), Property("SubID", "Edm.Int32")),
}


def navigations(type_name: str, properties: tuple[Property, ...]) -> tuple[Navigation, ...]:
    """The navigation properties that the foreign keys and the details of a type suggest."""
    found = [
        Navigation(f"{target.rpartition('.')[2]}By{each.name}", target, on=((each.name, column),))
        for each in properties
        for target, column in filter(None, [TARGETS.get(each.name)])
    ]
    details = [
        Navigation(
            f"{target.rpartition('.')[2]}Collection",
            target,
            many=True,
            on=tuple((here, there) for here, _, there in (p.partition("=") for p in pairs.split())),
        )
        for target, pairs in DETAILS.get(type_name, {}).items()
    ]
    return (*found, *details)


def read_csv(name: str) -> list[dict[str, str]]:
    """The rows of one of the files with real columns."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=1)
def real_types() -> tuple[EntityType, ...]:
    """The data access classes with their real columns."""
    declared: dict[str, list[Property]] = {}
    bases: dict[str, str] = {}
    for row in read_csv("dacs.csv"):
        each = Property(
            row["property"],
            row["edm_type"],
            required=row["required"] == "1",
            restricted=row["restricted"] == "1",
            label=row["label"],
        )
        declared.setdefault(row["type"], []).append(each)
        bases[row["type"]] = row["base_type"]
    types: dict[str, EntityType] = {}
    # Bases stand before the types derived from them in the file.
    for row in read_csv("dac-sets.csv"):
        name = row["type"]
        properties = tuple(declared[name])
        undeclared = UNDECLARED.get(name, ())
        base = types.get(bases[name])
        types[name] = EntityType(
            name,
            row["label"],
            base,
            tuple(row["key"].split("|")) if row["key"] and base is None else (),
            properties,
            navigations(name, (*properties, *undeclared)),
            tuple(row["entity_sets"].split("|")),
            "singleton" if row["kind"] == "singleton" else "entityset",
            undeclared=undeclared,
        )
    return tuple(types.values())
