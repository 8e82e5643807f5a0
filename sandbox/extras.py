"""Made-up data access classes, each for a trait that the real ones do not have."""

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


def parse_columns(columns: str) -> tuple[tuple[str, ...], tuple[Property, ...]]:
    """Parse ``Name:code`` words into a key and properties.

    After the code, ``*`` marks a key, ``#`` a restricted and ``!`` a required property.
    """
    key: list[str] = []
    properties: list[Property] = []
    for word in columns.split():
        name, _, code = word.partition(":")
        edm_type = CODES[code.rstrip("*#!")]
        properties.append(Property(name, edm_type, required="!" in code, restricted="#" in code))
        if "*" in code:
            key.append(name)
    return tuple(sorted(key)), tuple(properties)


def root_class(name: str, label: str, columns: str, *aliases: str) -> EntityType:
    """Return a class without a base, with entity sets."""
    key, properties = parse_columns(columns)
    sets = (name.replace(".", "_"), *aliases)
    return EntityType(name, label, None, key, properties, navigations(name, properties), sets)


@lru_cache(maxsize=1)
def small_model() -> Model:
    """Return the model of the real and the made-up classes."""
    real = real_types()
    by_name = {entity_type.name: entity_type for entity_type in real}
    vendor = by_name["PX.Objects.AP.Vendor"]
    account = by_name["PX.Objects.CR.BAccount"]
    _, employee = parse_columns(
        "DepartmentID:s PositionLineCntr:i! SalesPersonID:i UserID:g HireDate:t"
    )
    _, year = parse_columns("FirstFinYear:s BegFinYear:t FinPeriods:h! LastModifiedDateTime:t")
    _, lite = parse_columns("AddressID:i AddressLine1:s City:s")
    _, retention = parse_columns("DaysRetentionHistoryDeletedRecords:i!")
    users_in_roles = root_class(
        "PX.SM.UsersInRoles", "User in Role", "Username:s* Rolename:s*", "UserInRole"
    )
    made_up = (
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
        root_class(
            "PX.Objects.CA.CAEntryType",
            "Entry Type",
            "EntryTypeId:s* Descr:s DrCr:s UseToReclassifyPayments:b! LastModifiedDateTime:t#",
            "EntryType",
            "CAEntryType",
        ),
        root_class(
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
        root_class(
            "PX.SM.UploadFile",
            "File",
            "FileID:g* Name:s Versioned:b! Size:i CreatedByID:g CreatedDateTime:t"
            " LastModifiedDateTime:t",
            "UploadFile",
        ),
        root_class(
            "PX.Data.Note",
            "Note",
            "NoteID:g* NoteText:s EntityType:s GraphType:s ExternalKey:s NotePopupText:s"
            " EntityName:s#",
            "Note",
        ),
        root_class(
            "PX.Data.NoteDoc",
            "",
            "NoteID:g* FileID:g* EntityType:s# EntityName:s# EntityRowValues:s#",
        ),
        root_class(
            "PX.SM.LoginTrace",
            "Access History",
            "LoginTraceID:i* Date:t Username:s Operation:h! IPAddress:s Comment:s",
            "AccessHistory",
            "LoginTrace",
        ),
        root_class(
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
        root_class(
            "PX.Data.DeletedRecordsTracking.DAC.SMDeletedRecordsTrackingTables",
            "Tables to Track Deleted Records",
            "TableID:i* TableName:s CreatedDateTime:t",
            "SMDeletedRecordsTrackingTables",
        ),
        root_class(
            "PX.SM.AuditHistory",
            "Audit History",
            "BatchID:l* ChangeID:l* ScreenID:s UserID:g ChangeDate:t Operation:s TableName:s"
            " CombinedKey:s ModifiedFields:s",
            "AuditHistory",
        ),
        EntityType(
            "PX.Api.OData.ODataPreferences",
            "OData Preferences",
            properties=retention,
            sets=("PX_Api_OData_ODataPreferences", "ODataPreferences"),
            kind="singleton",
        ),
        EntityType("PX.Objects.CR.AddressLite", "Address", own_key=("AddressID",), kind="none",
                   properties=lite),
        EntityType("PX.Objects.IN.INPlanRef", "Plan", own_key=("AddressID",), kind="none",
                   properties=lite),
    )  # fmt: skip
    return Model((*real, *made_up))
