"""Purchase orders and their bills."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sandbox.company.book import Book, Posting, in_both_currencies, money, period, quantity
from sandbox.company.sales import document

PAYABLE, ACCRUAL = 1005, 1006


def write(book: Book) -> None:
    """Write the purchase documents."""
    orders = max(book.size // 8, 3)
    for number in range(orders):
        purchase(book, number, number / orders)


def purchase(book: Book, number: int, fraction: float) -> None:
    """Write an order, its lines, and the bill of a completed one."""
    rng = book.random
    day = book.day(fraction)
    vendor = rng.choice(book.vendors)
    key = {"OrderType": "RO", "OrderNbr": f"PO{number + 1:06d}"}
    status = rng.choice("CCNHB")
    total, units = money(0), quantity(0)
    count = rng.choice((1, 2, 3))
    for line in range(1, count + 1):
        item = rng.choice(book.items)
        qty = quantity(rng.randint(10, 200))
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
            **in_both_currencies("UnitCost", cost),
            **in_both_currencies("LineAmt", amount),
            **in_both_currencies("ExtCost", amount),
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
        **in_both_currencies("LineTotal", total),
        **in_both_currencies("OrderTotal", total),
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
        **in_both_currencies("LineTotal", total),
        **book.audit(billed, "AP301000"),
    )
    entry = ((ACCRUAL, total, money(0)), (PAYABLE, money(0), total))
    book.postings.append(Posting("AP", batch, billed, f"Bill {ref} of {period(billed)}", entry))
