"""Sales orders, shipments, stock issues, invoices and payments."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from sandbox.company.book import Book, Posting, in_both_currencies, money, period, quantity

LINES_PER_ORDER = 3
RECEIVABLE, REVENUE, CASH = 1002, 1009, 1001


def write(book: Book) -> None:
    """Write the sales documents."""
    orders = max(book.size // LINES_PER_ORDER, 3)
    for number in range(orders):
        order, lines = sales_order(book, number, number / orders)
        if order["Status"] in {"C", "S"}:
            shipment = ship(book, number, order, lines)
            if order["Status"] == "C":
                invoice(book, number, order, lines, shipment)


def sales_order(
    book: Book, number: int, fraction: float
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Write an order with the totals of its lines, and the lines."""
    rng = book.random
    day = book.day(fraction)
    customer = rng.choice(book.customers)
    kind = "SO" if number % 10 else "QT"
    key = {"OrderType": kind, "OrderNbr": f"{kind}{number + 1:06d}"}
    status = rng.choice("CCCSNH") if kind == "SO" else "N"
    stamps = book.audit(day, "SO301000")
    total, units = money(0), quantity(0)
    lines = []
    for line in range(1, rng.choice((1, 2, 3, 4, 5)) + 1):
        item = rng.choice(book.items)
        qty = quantity(rng.randint(1, 20))
        price = Decimal(str(item["BasePrice"]))
        amount = money(qty * price)
        total, units = total + amount, units + qty
        lines.append(
            book.add(
                "PX.Objects.SO.SOLine",
                **key,
                LineNbr=line,
                SortOrder=line,
                BranchID=16,
                CustomerID=customer["BAccountID"],
                OrderDate=day,
                RequestDate=day + timedelta(days=7),
                InventoryID=item["InventoryID"],
                IsStockItem=item["StkItem"],
                LineType="GI" if item["StkItem"] else "GN",
                Operation="I",
                UOM=item["SalesUnit"],
                OrderQty=qty,
                BaseOrderQty=qty,
                OpenQty=quantity(0) if status == "C" else qty,
                TranDesc=book.text(str(item["Descr"])),
                Completed=status == "C",
                OpenLine=status != "C",
                **in_both_currencies("UnitPrice", price),
                **in_both_currencies("ExtPrice", amount),
                **in_both_currencies("LineAmt", amount),
                **{**stamps, "NoteID": book.guid()},
            )
        )
    order = book.add(
        "PX.Objects.SO.SOOrder",
        **key,
        Behavior=kind,
        CustomerID=customer["BAccountID"],
        OrderDate=day,
        RequestDate=day + timedelta(days=7),
        OrderDesc=book.text(f"Order {number + 1}"),
        CustomerOrderNbr=f"PO-{number:05d}" if number % 3 else None,
        Status=status,
        Hold=status == "H",
        Approved=True,
        Completed=status == "C",
        Cancelled=None if number % 17 == 0 else False,
        OpenDoc=status != "C",
        LineCntr=len(lines),
        CuryID="USD",
        CuryInfoID=200_000 + number,
        TermsID="30D",
        OrderQty=units,
        BillContactID=customer["DefContactID"],
        ShipContactID=customer["DefContactID"],
        Priority=0,
        **in_both_currencies("LineTotal", total),
        **in_both_currencies("OrderTotal", total),
        **stamps,
    )
    return order, lines


def ship(book: Book, number: int, order: dict[str, object], lines: list[dict[str, object]]) -> str:
    """Write an order's shipment and its issue from stock; return the shipment's number."""
    shipment = f"{number + 1:06d}"
    day = _day(order) + timedelta(days=2)
    units = sum((_number(line, "OrderQty") for line in lines), start=quantity(0))
    book.add(
        "PX.Objects.SO.SOShipment",
        ShipmentNbr=shipment,
        ShipmentType="I",
        Operation="I",
        ShipDate=day,
        CustomerID=order["CustomerID"],
        ShipmentDesc=order["OrderDesc"],
        Status="C" if order["Status"] == "C" else "N",
        Confirmed=True,
        Released=order["Status"] == "C",
        Hold=False,
        LineCntr=len(lines),
        OrderCntr=1,
        ShipmentQty=units,
        ControlQty=units,
        LineTotal=order["LineTotal"],
        CuryID="USD",
        ConfirmedDateTime=day + timedelta(hours=15, minutes=30),
        **book.audit(day, "SO302000"),
    )
    for line in lines:
        if not line["IsStockItem"]:
            continue
        book.add(
            "PX.Objects.IN.INTran",
            DocType="I",
            RefNbr=f"IN{number + 1:06d}",
            LineNbr=line["LineNbr"],
            TranType="III",
            TranDate=day,
            FinPeriodID=period(day),
            TranPeriodID=period(day),
            InventoryID=line["InventoryID"],
            InvtMult=-1,
            IsStockItem=True,
            UOM=line["UOM"],
            Qty=line["OrderQty"],
            BaseQty=line["OrderQty"],
            UnitPrice=line["UnitPrice"],
            TranAmt=line["LineAmt"],
            Released=True,
            SOOrderType=line["OrderType"],
            SOOrderNbr=line["OrderNbr"],
            SOOrderLineNbr=line["LineNbr"],
            SOShipmentNbr=shipment,
            SOShipmentType="I",
            BAccountID=line["CustomerID"],
            TranDesc=line["TranDesc"],
            **book.audit(day, "IN302000"),
        )
    return shipment


def invoice(
    book: Book,
    number: int,
    order: dict[str, object],
    lines: list[dict[str, object]],
    shipment: str,
) -> None:
    """Write an order's invoice with its lines, its payment, and their ledger postings."""
    day = _day(order) + timedelta(days=3)
    ref = f"AR{number + 1:06d}"
    total = _number(order, "LineTotal")
    paid = number % 3 != 0
    batch = f"AR{number + 1:08d}"
    shared = {"CustomerID": order["CustomerID"], "CuryID": "USD", "BranchID": 16}
    for line in lines:
        book.add(
            "PX.Objects.AR.ARTran",
            TranType="INV",
            RefNbr=ref,
            LineNbr=line["LineNbr"],
            SOOrderType=line["OrderType"],
            SOOrderNbr=line["OrderNbr"],
            SOOrderLineNbr=line["LineNbr"],
            SOShipmentNbr=shipment,
            InventoryID=line["InventoryID"],
            UOM=line["UOM"],
            Qty=line["OrderQty"],
            TranDesc=line["TranDesc"],
            TranDate=day,
            FinPeriodID=period(day),
            Released=True,
            CustomerID=order["CustomerID"],
            BranchID=16,
            DrCr="C",
            **in_both_currencies("UnitPrice", _number(line, "UnitPrice")),
            **in_both_currencies("ExtPrice", _number(line, "LineAmt")),
            **in_both_currencies("TranAmt", _number(line, "LineAmt")),
            **book.audit(day, "SO303000"),
        )
    del shared["BranchID"]
    book.add(
        "PX.Objects.AR.ARInvoice",
        **document("INV", ref, batch, day, total, money(0) if paid else total),
        **shared,
        DueDate=day + timedelta(days=30),
        DocDesc=order["OrderDesc"],
        Status="C" if paid else "N",
        OpenDoc=not paid,
        LineCntr=len(lines),
        TermsID="30D",
        InvoiceNbr=order["CustomerOrderNbr"],
        InvoiceDate=None if number % 5 == 0 else day,  # null although declared as not nullable
        **in_both_currencies("LineTotal", total),
        **in_both_currencies("GoodsTotal", total),
        **book.audit(day, "SO303000"),
    )
    entry = ((RECEIVABLE, total, money(0)), (REVENUE, money(0), total))
    book.postings.append(Posting("AR", batch, day, f"Invoice {ref}", entry))
    if not paid:
        return
    paid_on, batch = day + timedelta(days=book.random.randint(5, 40)), f"ARP{number + 1:07d}"
    book.add(
        "PX.Objects.AR.ARPayment",
        **document("PMT", f"PM{number + 1:06d}", batch, paid_on, total, money(0)),
        **shared,
        DocDesc=f"Payment of {ref}",
        Status="C",
        PaymentMethodID="CHECK",
        ExtRefNbr=f"CHK{number:05d}",
        AdjDate=paid_on,
        AdjFinPeriodID=period(paid_on),
        Cleared=True,
        ClearDate=paid_on,
        **book.audit(paid_on, "AR302000"),
    )
    entry = ((CASH, total, money(0)), (RECEIVABLE, money(0), total))
    book.postings.append(Posting("AR", batch, paid_on, f"Payment of {ref}", entry))


def document(  # noqa: PLR0913, PLR0917 - the columns of all documents
    kind: str, ref: str, batch: str, day: datetime, total: Decimal, balance: Decimal
) -> dict[str, object]:
    """Return the columns that all receivable and payable documents share."""
    return {
        "DocType": kind,
        "RefNbr": ref,
        "BatchNbr": batch,
        "DocDate": day,
        "OrigDocDate": day,
        "FinPeriodID": period(day),
        "TranPeriodID": period(day),
        "Released": True,
        "Hold": False,
        "OrigModule": "SO" if kind == "INV" else "AR",
        **in_both_currencies("OrigDocAmt", total),
        **in_both_currencies("DocBal", balance),
    }


def _day(order: dict[str, object]) -> datetime:
    day = order["OrderDate"]
    assert isinstance(day, datetime)  # noqa: S101 - set by this module
    return day


def _number(row: dict[str, object], name: str) -> Decimal:
    return Decimal(str(row[name]))
