"""Users, employees, and the rows of the made-up classes."""

from __future__ import annotations

import base64
from datetime import timedelta
from decimal import Decimal

from sandbox.company.book import FIRST_DAY, Book, money
from sandbox.company.masters import padded

LOGINS = ("admin", "odata", "gibbs", "o'hara", "müller")
FEW_ROWS = 25


def write(book: Book) -> None:
    """Write the system tables and those of the made-up classes."""
    users(book)
    employees(book)
    prospects(book)
    book.add("PX.Api.OData.ODataPreferences", DaysRetentionHistoryDeletedRecords=10)
    small_tables(book)
    notes(book)


def users(book: Book) -> None:
    """Write the users with encrypted passwords."""
    for number, (login, user_id) in enumerate(zip(LOGINS, book.users, strict=True)):
        book.add(
            "PX.SM.Users",
            PKID=user_id,
            Username=login,
            FirstName=login.title(),
            LastName="Example",
            FullName=f"{login.title()} Example",
            Email=f"{number}@company.example",
            Password=base64.b64encode(book.random.randbytes(32)).decode(),
            Source=0,
            IsApproved=True,
            CreationDate=FIRST_DAY + timedelta(hours=number, milliseconds=333),
            LastLoginDate=book.day(0.99) + timedelta(hours=7, minutes=number, milliseconds=507),
            NoteID=book.guid(),
        )
    for login in LOGINS:
        book.add("PX.SM.UsersInRoles", Username=login, Rolename="Administrator")


def employees(book: Book) -> None:
    """Write the employees, which are vendors too."""
    for number in range(4):
        book.add(
            "PX.Objects.EP.EPEmployee",
            BAccountID=8000 + number,
            AcctCD=padded(f"EP{number:06d}"),
            AcctName=f"Employee {number}",
            Type="EP",
            Status="A",
            VendorClassID="EMPSTAND",
            **book.audit(book.day(0.05 * number), "EP203000"),
        )


def prospects(book: Book) -> None:
    """Write business accounts that are neither customers nor vendors."""
    for number in range(3):
        book.add(
            "PX.Objects.CR.BAccountR",
            BAccountID=8100 + number,
            AcctCD=padded(f"PR{number:06d}"),
            AcctName=book.text(f"Prospect {number}"),
            Type="PR",
            Status="R",
            **book.audit(book.day(0.3 * number), "CR303000"),
        )


def small_tables(book: Book) -> None:
    """Write a few rows into each of the made-up classes."""
    for code, side in (("BANKCHG", "C"), ("INTEREST", "D"), ("MISC", "C")):
        book.add(
            "PX.Objects.CA.CAEntryType", EntryTypeId=code, Descr=book.text(code.title()), DrCr=side
        )
    for number in range(FEW_ROWS):
        book.add(
            "Contoso.Objects.RX.RXSubscription",
            SubscriptionCD=padded(f"RX{number:04d}"),
            CustomerID=book.random.choice(book.customers)["BAccountID"],
            Active=bool(number % 3),
            Amount=money(Decimal(number) / 8),
            UsrTier=book.random.choice(("Gold", "Silver", None)),
            UsrRenewalDate=book.day(number / FEW_ROWS),
            UsrScore=number / 8,
            UsrChannel=number,
            UsrTags=["new", "ä&b"][: number % 3],
            UsrVolume=Decimal("0.10"),
            **book.audit(book.day(number / FEW_ROWS), "RX301000"),
        )
        day = book.day(number / FEW_ROWS)
        book.add(
            "PX.SM.UploadFile",
            FileID=book.guid(),
            Name=f"Sales Orders (SO{number:06d})\\scan {number}.pdf",
            Versioned=True,
            Size=number * 1024,
            CreatedByID=book.users[0],
            CreatedDateTime=day + timedelta(hours=9),
            LastModifiedDateTime=day + timedelta(hours=9, milliseconds=507),
        )
        book.add(
            "PX.SM.LoginTrace",
            LoginTraceID=number + 1,
            Date=day + timedelta(hours=8, minutes=number),
            Username=book.random.choice(LOGINS),
            Operation=number % 4,
            IPAddress=f"192.0.2.{number}",
        )
        book.add(
            "PX.Objects.CS.CSAnswers",
            RefNoteID=book.guid(),
            AttributeID="COLOR",
            Value=book.random.choice(("Red", "Blue", None)),
        )


def notes(book: Book) -> None:
    """Write a note on each of a few orders, and attach a file to it."""
    orders, files = book.tables["PX.Objects.SO.SOOrder"], book.tables["PX.SM.UploadFile"]
    for order, file in zip(orders, files, strict=False):
        book.add(
            "PX.Data.Note",
            NoteID=order["NoteID"],
            NoteText=f"Call before delivery of {order['OrderNbr']}",
            EntityType="PX.Objects.SO.SOOrder",
        )
        book.add("PX.Data.NoteDoc", NoteID=order["NoteID"], FileID=file["FileID"])
