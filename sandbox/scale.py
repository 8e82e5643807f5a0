"""A model of the size of a full instance: the small model and generated types."""

from __future__ import annotations

from functools import lru_cache

from sandbox.extras import small_model
from sandbox.model import EntityType, Model, Navigation, Property

# Figures of a clean instance of release 2026 R2.
ENTITY_TYPES = 2265
PROPERTIES = 42_288
NAVIGATIONS = 23_576
ENTITY_SETS = 5108
SINGLETONS = 158
NAMESPACES = 211
COMPLEX_TYPES = 25
COLLECTIONS = 2  # in addition to the one in the small model
WITHOUT_SET = 60
PADDING = ", in the currency of the document, as of the last time that the record was changed" * 2
RESTRICTED_EVERY = 7
UNFILTERABLE = 56

AREAS = (
    *("AM", "AP", "AR", "CA", "CM", "CR", "CS", "DR", "EP", "FA"),
    *("FS", "GL", "IN", "PM", "PO", "PR", "RQ", "SO", "TX", "WZ"),
)
NOUNS = (
    *("Order", "Line", "Setup", "Class", "Rate", "Plan", "Detail", "Status", "Period", "Schedule"),
    *("Balance", "Item", "Budget", "Task", "Batch", "Rule", "Group", "Site", "Asset", "Document"),
)
WORDS = (
    *("Amount", "Qty", "Total", "Date", "Code", "Active", "Type", "Ref", "Cost", "Price"),
    *("Note", "Owner", "Rate", "Hold", "Start", "End", "Ratio", "Account", "Unit", "Source"),
)
# Roughly the mix of types in a real document.
MIX = (
    *("Edm.String",) * 7,
    *("Edm.Decimal",) * 4,
    *("Edm.Int32", "Edm.Boolean") * 3,
    *("Edm.DateTimeOffset", "Edm.DateTimeOffset", "Edm.Guid"),
    *("Edm.Int16", "Edm.Int64", "Edm.Binary"),
)


def namespace(number: int) -> str:
    """Return one of the .NET namespaces."""
    area = AREAS[number % len(AREAS)]
    return f"PX.Objects.{area}" if number < len(AREAS) else f"PX.Objects.{area}.N{number}"


def properties(number: int, count: int) -> tuple[Property, ...]:
    """Return the properties of a generated type: a key, a stamp, and others."""
    declared = [
        Property("RefNbr", "Edm.String", required=True, label="Reference Nbr."),
        Property("LastModifiedDateTime", "Edm.DateTimeOffset", label="Last Modified On"),
    ]
    for at in range(2, count):
        word = WORDS[(number + at) % len(WORDS)]
        kind = MIX[(number * 7 + at) % len(MIX)]
        if number < COLLECTIONS and at == count - 1:
            kind = "Collection(Edm.String)"
        name = f"Cury{word}Of{NOUNS[(number + at * 3) % len(NOUNS)]}{at}"
        restricted = at % RESTRICTED_EVERY == 0 and number % 2 == 0
        declared.append(
            Property(
                name,
                kind,
                at % 3 == 0,
                restricted,
                f"{word} of {namespace(number)}, column {at}{PADDING}",
            )
        )
    return tuple(declared[:count])


def navigations(number: int, count: int, names: list[str]) -> tuple[Navigation, ...]:
    """Return the navigation properties of a generated type."""
    declared = []
    for at in range(count):
        target = names[(number * 31 + at * 17) % len(names)]
        short = target.rpartition(".")[2]
        many = at % 2 == 0
        name = f"{short}Collection{at}" if many else f"{short}By{WORDS[at % len(WORDS)]}Ref{at}"
        declared.append(Navigation(name, target, many, (("RefNbr", "RefNbr"),)))
    return tuple(declared)


def split_evenly(total: int, parts: int) -> list[int]:
    """Split a total into nearly equal integers."""
    return [total * (at + 1) // parts - total * at // parts for at in range(parts)]


def complex_schema() -> str:
    """Return a schema with complex types and an enum, which no entity uses."""
    lines = ['    <Schema Namespace="PX.Api" xmlns="http://docs.oasis-open.org/odata/ns/edm">']
    for at in range(COMPLEX_TYPES):
        lines += [
            f'      <ComplexType Name="Part{at}">',
            '        <Property Name="Value" Type="Edm.String" />',
            "      </ComplexType>",
        ]
    lines += [
        '      <EnumType Name="Mode">',
        '        <Member Name="None" Value="0" />',
        '        <Member Name="Full" Value="1" />',
        "      </EnumType>",
        "    </Schema>",
    ]
    return "\n".join(lines)


@lru_cache(maxsize=1)
def full_model() -> Model:
    """Return the small model filled up to the size of a full instance."""
    small = small_model()
    count = ENTITY_TYPES - len(small.types)
    properties_present = sum(len(entity_type.properties) for entity_type in small.types)
    navigations_present = sum(len(entity_type.navigations) for entity_type in small.types)
    singletons_present = sum(len(item.sets) for item in small.types if item.kind == "singleton")
    sets_present = sum(len(item.sets) for item in small.types if item.kind == "entityset")
    with_set = count - WITHOUT_SET - (SINGLETONS - singletons_present)
    property_counts = split_evenly(PROPERTIES - properties_present, count)
    navigation_counts = split_evenly(NAVIGATIONS - navigations_present, count)
    set_counts = split_evenly(ENTITY_SETS - sets_present, with_set)
    names = [
        f"{namespace(at % NAMESPACES)}.{NOUNS[at % len(NOUNS)]}{NOUNS[at // 7 % len(NOUNS)]}{at}"
        for at in range(count)
    ]
    generated = []
    for at, name in enumerate(names):
        set_name = name.replace(".", "_")
        short = name.rpartition(".")[2]
        key: tuple[str, ...] = ("RefNbr",)
        if at < with_set:
            kind, sets = "entityset", (set_name, short, f"{short}Record")[: set_counts[at]]
        elif at < count - WITHOUT_SET:
            kind, sets, key = "singleton", (set_name,), ()
        else:
            kind, sets = "none", ()
        generated.append(
            EntityType(
                name,
                f"{NOUNS[at % len(NOUNS)]} {at}",
                None,
                key,
                properties(at, property_counts[at]),
                navigations(at, navigation_counts[at], names),
                sets,
                kind,  # type: ignore[arg-type] # one of the three words
                filterable=at % (count // UNFILTERABLE) != 1,
                generated=True,
            )
        )
    return Model((*small.types, *generated), complex_schema())
