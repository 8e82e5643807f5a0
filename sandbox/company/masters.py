"""Master data: accounts, terms, business accounts, contacts, addresses, items."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sandbox.company.book import FIRST_DAY, Book, money, quantity

ACCOUNTS = (
    (10100, "A", "Cash on Hand"),
    (10200, "A", "Company Checking Account"),
    (11000, "A", "Accounts Receivable"),
    (12100, "A", "Inventory Asset"),
    (15100, "A", "Furniture & Fixtures"),
    (20000, "L", "Accounts Payable"),
    (20100, "L", "PO Accrual"),
    (24000, "L", "Tax Payable"),
    (30000, "L", "Owner's Equity"),
    (40000, "I", "Sales Revenue"),
    (40100, "I", "Freight Income"),
    (50000, "E", "Cost of Goods Sold"),
    (60100, "E", "Office Supplies"),
    (61000, "E", "Rent <Main Street>"),
    (62000, "E", "Telephone Expense"),
    (63000, "E", "Travel, domestic"),
)
SUBS = ("000-000", "CON-000", "PRO-001", "PRO-002", "SVC-000")
TERMS = (("30D", "Net 30 Days", 30), ("14D", "Net 14 Days", 14), ("COD", "Cash on Delivery", 0))
NAMES = (
    *("Alta", "Birch", "Copper", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Iris", "Juniper"),
    *("Kestrel", "Lumen", "Maple", "Nordic", "Opal", "Pine", "Quartz", "River", "Slate", "Tundra"),
)
TRADES = ("Tools", "Foods", "Systems", "Logistics", "Textiles", "Optics", "Paper", "Motors")
FIRST_NAMES = ("Ana", "Björn", "Chloé", "Dmitri", "Eve", "Farid", "Grace", "Hiro", "Inés", "Jan")
THINGS = ("Bolt", "Hinge", "Panel", "Cable", "Valve", "Lamp", "Filter", "Crate", "Gear", "Switch")
CITIES = (("New York", "NY", "10001"), ("Boston", "MA", "02108"), ("Austin", "TX", "78701"))
SITES = ((61, "MAIN"), (62, "RETAIL"))
WIDTH = 10  # the server pads segmented keys to this width


def padded(code: str) -> str:
    """Return a segmented key padded to its width, as the server does."""
    return code.ljust(WIDTH)


def write(book: Book) -> None:
    """Write the master tables."""
    accounts(book)
    people(book)
    items(book)


def accounts(book: Book) -> None:
    """Write accounts, subaccounts and terms."""
    for number, (code, kind, text) in enumerate(ACCOUNTS):
        book.add(
            "PX.Objects.GL.Account",
            AccountID=1000 + number,
            AccountCD=padded(str(code)),
            Type=kind,
            Description=text,
            Active=True,
            PostOption="D",
            DirectPost=False,
            COAOrder=number,
            CuryID="USD",
            **book.audit(FIRST_DAY, "GL202500"),
        )
    for number, sub in enumerate(SUBS):
        book.add(
            "PX.Objects.GL.Sub",
            SubID=500 + number,
            SubCD=padded(sub),
            Active=True,
            Description=f"Subaccount {sub}",
            **book.audit(FIRST_DAY, "GL203000"),
        )
    for term, text, days in TERMS:
        stamps = book.audit(FIRST_DAY, "CS206500")
        if term == "COD":
            # Rows from an old import may have such a stamp.
            stamps["LastModifiedDateTime"] = "1900-01-01T00:00:00Z"
        book.add(
            "PX.Objects.CS.Terms",
            TermsID=term,
            Descr=text,
            VisibleTo="AL",
            DueType="N",
            DayDue00=days,
            DiscType="N",
            DiscPercent=Decimal("0.000000"),
            InstallmentType="S",
            **stamps,
        )


def people(book: Book) -> None:
    """Write business accounts that are customers or vendors, with contact and address."""
    count = max(book.size // 12, 12)
    for number in range(count):
        account_id, contact_id = 5000 + number, 3000 + number
        title = NAMES[number % len(NAMES)] + " " + TRADES[number // 3 % len(TRADES)]
        usual = f"{title} {number:03d}" if number >= len(NAMES) else title
        kind = ("CU", "VE", "CU", "VC", "CU")[number % 5]
        stamps = book.audit(book.day(number / count * 0.2), "AR303000")
        account = {
            "BAccountID": account_id,
            "AcctCD": padded(f"{'V' if kind == 'VE' else 'C'}{number:06d}"),
            "AcctName": book.text(usual),
            "LegalName": usual,
            "Type": kind,
            "ClassID": "DEFAULT",
            "IsCustomerOrCombined": kind != "VE",
            "IsBranch": False,
            "Status": book.random.choice("AAAAHI"),
            "VStatus": "A" if kind in {"VE", "VC"} else None,
            "CuryID": "USD",
            "BaseCuryID": "USD",
            "DefAddressID": 7000 + number,
            "DefContactID": contact_id,
            "DefLocationID": 9000 + number,
            "PrimaryContactID": contact_id,
            **stamps,
        }
        roles(book, account, number)
        person = book.random.choice(FIRST_NAMES)
        book.add(
            "PX.Objects.CR.Contact",
            ContactID=contact_id,
            BAccountID=account_id,
            DefAddressID=7000 + number,
            ContactType="PN" if number % 3 else "AP",
            FirstName=person,
            LastName=f"Example{number}",
            DisplayName=f"Example{number}, {person}",
            FullName=account["AcctName"],
            EMail=f"contact{number}@customer{number}.example",
            Phone1=f"+1 (555) 01{number % 100:02d}",
            Phone1Type="B1",
            Status="A",
            IsActive=True,
            **book.audit(book.day(number / count * 0.3), "CR302000"),
        )
        city, state, postal = CITIES[number % len(CITIES)]
        book.add(
            "PX.Objects.CR.Address",
            AddressID=7000 + number,
            BAccountID=account_id,
            RevisionID=1,
            AddressLine1=f"{number + 1} Example Street",
            City=city,
            State=state,
            PostalCode=postal,
            CountryID="US",
            AddressType="BS",
            Latitude=Decimal("40.712776"),
            Longitude=Decimal("-74.005974"),
            **book.audit(book.day(number / count * 0.3), "CR303000"),
        )


def roles(book: Book, account: dict[str, object], number: int) -> None:
    """Write a business account's rows as a customer, a vendor, or both."""
    terms = TERMS[number % len(TERMS)][0]
    kind = account["Type"]
    if kind in {"CU", "VC"}:
        book.customers.append(account)
        book.add(
            "PX.Objects.AR.Customer",
            **account,
            CustomerClassID="DEFAULT",
            TermsID=terms,
            CreditRule="D",
            CreditLimit=money(number * 1000),
            StatementType="O",
            StatementCycleId="MONTHLY",
            StatementLastDate=FIRST_DAY + timedelta(days=30),
            SmallBalanceLimit=None,
            DefBillContactID=account["DefContactID"],
            AutoApplyPayments=None,  # null although declared as not nullable
            GroupMask=b"\x00\x0f",
        )
    if kind in {"VE", "VC"}:
        book.vendors.append(account)
        book.add(
            "PX.Objects.AP.Vendor",
            **account,
            VendorClassID="DEFAULT",
            TermsID=terms,
            Approved=True,
            TaxReportRounding="R",
        )


def items(book: Book) -> None:
    """Write items and their stock by location."""
    count = max(book.size // 15, 10)
    for number in range(count):
        price = money(Decimal(book.random.randint(100, 90_000)) / 100)
        stock = number % 4 != 3  # noqa: PLR2004 - every fourth item is a service
        item = book.add(
            "PX.Objects.IN.InventoryItem",
            InventoryID=10_000 + number,
            InventoryCD=padded(
                f"{'AA' if stock else 'SV'}{THINGS[number % 10].upper()}{number:03d}"
            ),
            StkItem=stock,
            Descr=book.text(f"{THINGS[number % 10]} {number}"),
            ItemStatus=book.random.choice(("AC", "AC", "AC", "NP", "IN")),
            ItemType="F" if stock else "S",
            ValMethod="A" if stock else "T",
            BaseUnit="PIECE" if stock else "HOUR",
            SalesUnit="PIECE" if stock else "HOUR",
            PurchaseUnit="PIECE" if stock else "HOUR",
            TaxCategoryID="TAXABLE",
            BasePrice=price,
            RecPrice=Decimal("0.10"),
            StdCost=money(price / 2),
            BaseItemWeight=quantity(Decimal(number) / 7),
            MarkupPct=Decimal("1234567890123.456789") if number == 0 else Decimal("10.000000"),
            DefaultTerm=Decimal(1999),
            **book.audit(book.day(number / count * 0.1), "IN202500"),
        )
        book.items.append(item)
        for site, _ in SITES if stock else ():
            on_hand = quantity(book.random.randint(0, 2000))
            stamps = book.audit(book.day(0.9 + 0.1 * number / count), "IN302000")
            book.add(
                "PX.Objects.IN.INLocationStatus",
                InventoryID=item["InventoryID"],
                SubItemID=1,
                SiteID=site,
                LocationID=site * 10 + number % 3,
                QtyOnHand=on_hand,
                QtyAvail=on_hand,
                QtyHardAvail=on_hand,
                QtyActual=on_hand,
                LastModifiedByScreenID="IN302000",
                LastModifiedDateTime=stamps["LastModifiedDateTime"],
            )
