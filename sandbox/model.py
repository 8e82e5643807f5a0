"""The data access classes: types, properties, keys, restrictions and entity sets."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Literal

DATA = Path(__file__).parent / "data"
Kind = Literal["entityset", "singleton", "none"]

# Properties that are instants although their names do not end in DateTime.
INSTANTS = frozenset(
    {
        "ChangeDate",
        "CreationDate",
        "DeleteDate",
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
    """A property that a type declares.

    Attributes:
        restricted: Whether the property may not be filtered or selected.
        instant: Whether a date-time is an instant although its name does not say so.
        formula: Whether the value is computed after the query, so that filters and orders cannot
            use it.
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
        """Whether the property is a pure date, which no time zone shifts."""
        instant = self.instant or self.name.endswith("DateTime") or self.name in INSTANTS
        return self.type == "Edm.DateTimeOffset" and not instant


@dataclass(frozen=True, slots=True)
class Navigation:
    """A navigation property.

    Attributes:
        many: Whether the property leads to a collection.
        on: Pairs of columns, in this type and in the target, that are equal in related rows.
    """

    name: str
    target: str
    many: bool = False
    on: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A property of a type or of its bases, and the column that stores it."""

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
        sets: Names of the type's entity sets, the generated name first.
        status: Status of a read; 200 gives the rows.
        generated: Whether the type is generated to fill up a large model.
        undeclared: Properties that are stored but not declared, as those of a feature that is
            switched off.
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
    generated: bool = False
    undeclared: tuple[Property, ...] = ()

    @property
    def namespace(self) -> str:
        """Namespace of the class."""
        return self.name.rpartition(".")[0]

    @property
    def short_name(self) -> str:
        """Class name without the namespace."""
        return self.name.rpartition(".")[2]

    @property
    def root(self) -> EntityType:
        """Base type whose table stores the rows."""
        return self if self.base is None else self.base.root

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Key columns of the type or its base."""
        return self.own_key if self.base is None else self.own_key or self.base.key

    @cached_property
    def columns(self) -> dict[str, Column]:
        """All columns by lower-case name, those of the bases first."""
        columns = {} if self.base is None else dict(self.base.columns)
        for declared in self.properties:
            name = declared.name
            stored_as = name if self.base is None else f"{self.short_name}.{name}"
            restricted = declared.restricted or not self.filterable
            columns.setdefault(name.lower(), Column(declared, stored_as, restricted))
        return columns

    @cached_property
    def readable(self) -> tuple[Column, ...]:
        """Columns that a read without ``$select`` returns."""
        return tuple(column for column in self.columns.values() if not column.restricted)

    @cached_property
    def stored(self) -> tuple[Column, ...]:
        """Columns that are stored: restricted ones only if they are keys."""
        key = set(self.key)
        declared = [
            column
            for column in self.columns.values()
            if not column.restricted or column.name in key
        ]
        undeclared = [Column(prop, prop.name, restricted=False) for prop in self.undeclared]
        return (*declared, *undeclared)

    def stored_as(self, name: str) -> str:
        """Return the stored name of a column, declared or not."""
        column = self.columns.get(name.lower())
        return column.stored_as if column else name

    @cached_property
    def navigations_by_name(self) -> dict[str, Navigation]:
        """All navigation properties by lower-case name, those of the bases first."""
        by_name = {} if self.base is None else dict(self.base.navigations_by_name)
        by_name.update({navigation.name.lower(): navigation for navigation in self.navigations})
        return by_name

    @cached_property
    def bases(self) -> tuple[EntityType, ...]:
        """The type and all types it derives from, except the root."""
        return () if self.base is None else (*self.base.bases, self)


@dataclass(frozen=True, eq=False)
class Model:
    """All types of a tenant.

    Attributes:
        types: The types in the order of the metadata.
        extra_schema: Schema elements with complex types and enums.
        by_name: Types by lower-case qualified name.
        by_set: Types by lower-case name of an entity set.
    """

    types: tuple[EntityType, ...]
    extra_schema: str = ""
    by_name: dict[str, EntityType] = field(init=False, repr=False)
    by_set: dict[str, EntityType] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the types by name and entity set."""
        by_name = {entity_type.name.lower(): entity_type for entity_type in self.types}
        object.__setattr__(self, "by_name", by_name)
        by_set = {
            name.lower(): entity_type for entity_type in self.types for name in entity_type.sets
        }
        object.__setattr__(self, "by_set", by_set)

    def find(self, name: str) -> EntityType:
        """Return the type with an entity set's name or a qualified name.

        Raises:
            KeyError: The name is unknown.
        """
        lower = name.lower()
        return self.by_set[lower] if lower in self.by_set else self.by_name[lower]

    def derived_from(self, root: EntityType) -> list[EntityType]:
        """Return the types stored in the root's table, without the root."""
        return [
            entity_type
            for entity_type in self.types
            if entity_type.base is not None and entity_type.root is root
        ]


# Target type and column by foreign key, for the navigation properties.
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
# Detail types by document or master type, each with pairs of columns that are equal.
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
# The foreign keys of ledger lines, of which the metadata declares the navigation properties only.
UNDECLARED = {
    "PX.Objects.GL.GLTran": (Property("AccountID", "Edm.Int32"), Property("SubID", "Edm.Int32")),
}


def navigations(type_name: str, properties: tuple[Property, ...]) -> tuple[Navigation, ...]:
    """Return the navigation properties that follow from a type's foreign keys and details."""
    references = [
        Navigation(f"{target.rpartition('.')[2]}By{key.name}", target, on=((key.name, column),))
        for key in properties
        for target, column in filter(None, [TARGETS.get(key.name)])
    ]
    details = [
        Navigation(
            f"{target.rpartition('.')[2]}Collection",
            target,
            many=True,
            on=tuple(
                (near, far) for near, _, far in (pair.partition("=") for pair in pairs.split())
            ),
        )
        for target, pairs in DETAILS.get(type_name, {}).items()
    ]
    return (*references, *details)


def read_csv(name: str) -> list[dict[str, str]]:
    """Read one of the files with real columns."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=1)
def real_types() -> tuple[EntityType, ...]:
    """Return the data access classes with their real columns."""
    declared: dict[str, list[Property]] = {}
    bases: dict[str, str] = {}
    for row in read_csv("dacs.csv"):
        column = Property(
            row["property"],
            row["edm_type"],
            required=row["required"] == "1",
            restricted=row["restricted"] == "1",
            label=row["label"],
        )
        declared.setdefault(row["type"], []).append(column)
        bases[row["type"]] = row["base_type"]
    types: dict[str, EntityType] = {}
    # In the file, bases stand before the types derived from them.
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
