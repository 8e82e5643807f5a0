"""Data access classes made up beside the real ones, each for a trait that those do not have."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

from sandbox.model import EntityType, Model, Property, navigations, real_types

CODES = {
    "b": "Edm.Boolean",
    "by": "Edm.Byte",
    "c": "Collection(Edm.String)",
    "d": "Edm.Decimal",
    "f": "Edm.Double",
    "g": "Edm.Guid",
    "h": "Edm.Int16",
    "i": "Edm.Int32",
    "l": "Edm.Int64",
    "s": "Edm.String",
    "t": "Edm.DateTimeOffset",
    "x": "Edm.Binary",
}
AUDIT = (
    "NoteID:g NoteText:s# tstamp:x CreatedByID:g CreatedByScreenID:s CreatedDateTime:t"
    " LastModifiedByID:g LastModifiedByScreenID:s LastModifiedDateTime:t"
)


def declared(columns: str) -> tuple[tuple[str, ...], tuple[Property, ...]]:
    """Read ``Name:code`` words, with ``*`` for a key, ``#`` for restricted, ``!`` for required."""
    key: list[str] = []
    properties: list[Property] = []
    for word in columns.split():
        name, _, code = word.partition(":")
        edm_type = CODES[code.rstrip("*#!")]
        properties.append(Property(name, edm_type, required="!" in code, restricted="#" in code))
        if "*" in code:
            key.append(name)
    return tuple(sorted(key)), tuple(properties)


def extra(name: str, label: str, columns: str, *aliases: str) -> EntityType:
    """A class of its own with an entity set."""
    key, properties = declared(columns)
    sets = (name.replace(".", "_"), *aliases)
    return EntityType(name, label, None, key, properties, navigations(name, properties), sets)


@lru_cache(maxsize=1)
def small_model() -> Model:
    """The real classes and the made-up ones."""
    real = real_types()
    by_name = {each.name: each for each in real}
    vendor = by_name["PX.Objects.AP.Vendor"]
    account = by_name["PX.Objects.CR.BAccount"]
    _, employee = declared("DepartmentID:s PositionLineCntr:i! SalesPersonID:i UserID:g HireDate:t")
    _, year = declared("FirstFinYear:s BegFinYear:t FinPeriods:h! LastModifiedDateTime:t")
    _, lite = declared("AddressID:i AddressLine1:s City:s")
    users_in_roles = extra(
        "PX.SM.UsersInRoles", "User in Role", "Username:s* Rolename:s*", "UserInRole"
    )
    made = (
        EntityType(
            "PX.Objects.EP.EPEmployee",
            "Employee",
            vendor,
            properties=employee,
            sets=("PX_Objects_EP_EPEmployee", "Employee", "EPEmployee"),
            filterable=False,
        ),
        EntityType(
            "PX.Objects.CR.BAccountR",
            "Business Account",
            account,
            sets=("PX_Objects_CR_BAccountR", "BusinessAccount1", "BAccountR"),
        ),
        extra(
            "PX.Objects.CA.CAEntryType",
            "Entry Type",
            "EntryTypeId:s* Descr:s DrCr:s UseToReclassifyPayments:b! LastModifiedDateTime:t#",
            "EntryType",
            "CAEntryType",
        ),
        extra(
            "Contoso.Objects.RX.RXSubscription",
            "Subscription",
            "SubscriptionCD:s* CustomerID:i Active:b! Amount:d! UsrTier:s UsrRenewalDate:t"
            f" UsrScore:f UsrChannel:by UsrTags:c UsrVolume:d {AUDIT}",
            "Subscription",
            "RXSubscription",
        ),
        EntityType(
            users_in_roles.name,
            users_in_roles.label,
            own_key=users_in_roles.own_key,
            properties=users_in_roles.properties,
            sets=(*users_in_roles.sets, "UsersInRoles"),
            status=HTTPStatus.FORBIDDEN,
        ),
        extra(
            "PX.SM.UploadFile",
            "File",
            "FileID:g* Name:s Versioned:b! Size:i CreatedByID:g CreatedDateTime:t"
            " LastModifiedDateTime:t",
            "UploadFile",
        ),
        extra(
            "PX.SM.LoginTrace",
            "Access History",
            "LoginTraceID:i* Date:t Username:s Operation:h! IPAddress:s Comment:s",
            "AccessHistory",
            "LoginTrace",
        ),
        extra(
            "PX.Objects.CS.CSAnswers",
            "Answers",
            "RefNoteID:g*# AttributeID:s* Value:s IsRequired:b AttributeCategory:s",
            "Answers",
            "CSAnswers",
        ),
        EntityType(
            "PX.Objects.GL.FinYearSetup",
            "Financial Year",
            properties=year,
            sets=("PX_Objects_GL_FinYearSetup", "FinancialYear", "FinYearSetup"),
            kind="singleton",
            status=HTTPStatus.NOT_FOUND,
        ),
        EntityType("PX.Objects.CR.AddressLite", "Address", own_key=("AddressID",), kind="none",
                   properties=lite),
        EntityType("PX.Objects.IN.INPlanRef", "Plan", own_key=("AddressID",), kind="none",
                   properties=lite),
    )  # fmt: skip
    return Model((*real, *made))
