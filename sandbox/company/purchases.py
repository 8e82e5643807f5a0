"""Purchase orders and the bills for them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sandbox.company.book import Book, Posting, both, money, period, quantity
from sandbox.company.sales import document

PAYABLE, ACCRUAL = 1005, 1006


def write(book: Book) -> None:
    """Write the purchase documents."""
    orders = max(book.size // 8, 3)
    for number in range(orders):
        purchase(book, number, number / orders)


def purchase(book: Book, number: int, part: float) -> None:
    """Write an order, its lines, and, where it was billed, the bill."""
    dice = book.dice
    day = book.day(part)
    vendor = dice.choice(book.vendors)
    key = {"OrderType": "RO", "OrderNbr": f"PO{number + 1:06d}"}
    status = dice.choice("CCNHB")
    total, units = money(0), quantity(0)
    count = dice.choice((1, 2, 3))
    for line in range(1, count + 1):
        item = dice.choice(book.items)
        qty = quantity(dice.randint(10, 200))
        cost = Decimal(str(item["StdCost"]))
        amount = money(qty * cost)
        total, units = total + amount, units + qty
        book.add(
            "PX.Objects.PO.POLine",
            **key,
            LineNbr=line,
            SortOrder=line,
            LineType="GI",
            InventoryID=item["InventoryID"],
            VendorID=vendor["BAccountID"],
            OrderDate=day,
            PromisedDate=day + timedelta(days=14),
            UOM=item["PurchaseUnit"],
            OrderQty=qty,
            BaseOrderQty=qty,
            TranDesc=book.text(str(item["Descr"])),
            **both("UnitCost", cost),
            **both("LineAmt", amount),
            **both("ExtCost", amount),
            **book.audit(day, "PO301000"),
        )
    book.add(
        "PX.Objects.PO.POOrder",
        **key,
        VendorID=vendor["BAccountID"],
        OrderDate=day,
        ExpectedDate=day + timedelta(days=14),
        OrderDesc=book.text(f"Purchase {number + 1}"),
        Status=status,
        Hold=status == "H",
        Approved=True,
        CuryID="USD",
        TermsID="14D",
        LineCntr=count,
        OrderQty=units,
        **both("LineTotal", total),
        **both("OrderTotal", total),
        **book.audit(day, "PO301000"),
    )
    if status != "C":
        return
    billed, batch, ref = day + timedelta(days=16), f"AP{number + 1:08d}", f"AP{number + 1:06d}"
    columns = document("INV", ref, batch, billed, total, total)
    columns["OrigModule"] = "AP"
    book.add(
        "PX.Objects.AP.APInvoice",
        **columns,
        VendorID=vendor["BAccountID"],
        CuryID="USD",
        DueDate=billed + timedelta(days=14),
        DocDesc=book.text(f"Bill for {key['OrderNbr']}"),
        Status="N",
        OpenDoc=True,
        LineCntr=count,
        TermsID="14D",
        InvoiceNbr=f"B-{number:05d}",
        InvoiceDate=billed,
        **both("LineTotal", total),
        **book.audit(billed, "AP301000"),
    )
    entry = ((ACCRUAL, total, money(0)), (PAYABLE, money(0), total))
    book.postings.append(Posting("AP", batch, billed, f"Bill {ref} of {period(billed)}", entry))
