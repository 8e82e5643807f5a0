"""Sales orders, shipments, invoices, payments, and what they take out of stock."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from sandbox.company.book import Book, Posting, both, money, period, quantity

LINES_PER_ORDER = 3
RECEIVABLE, REVENUE, CASH = 1002, 1009, 1001


def write(book: Book) -> None:
    """Write the sales documents."""
    orders = max(book.size // LINES_PER_ORDER, 3)
    for number in range(orders):
        part = number / orders
        order, lines = sales_order(book, number, part)
        if order["Status"] in {"C", "S"}:
            shipment = ship(book, number, order, lines)
            if order["Status"] == "C":
                invoice(book, number, order, lines, shipment)


def sales_order(
    book: Book, number: int, part: float
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Write an order and its lines; the totals are theirs."""
    dice = book.dice
    day = book.day(part)
    customer = dice.choice(book.customers)
    kind = "SO" if number % 10 else "QT"
    key = {"OrderType": kind, "OrderNbr": f"{kind}{number + 1:06d}"}
    status = dice.choice("CCCSNH") if kind == "SO" else "N"
    stamps = book.audit(day, "SO301000")
    total, units = money(0), quantity(0)
    lines = []
    for line in range(1, dice.choice((1, 2, 3, 4, 5)) + 1):
        item = dice.choice(book.items)
        qty = quantity(dice.randint(1, 20))
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
                **both("UnitPrice", price),
                **both("ExtPrice", amount),
                **both("LineAmt", amount),
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
        **both("LineTotal", total),
        **both("OrderTotal", total),
        **stamps,
    )
    return order, lines


def ship(book: Book, number: int, order: dict[str, object], lines: list[dict[str, object]]) -> str:
    """Write the shipment of an order, and the issue from stock; returns its number."""
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
    """Write the invoice of an order, its lines, its payment, and what the ledger gets of them."""
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
            **both("UnitPrice", _number(line, "UnitPrice")),
            **both("ExtPrice", _number(line, "LineAmt")),
            **both("TranAmt", _number(line, "LineAmt")),
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
        InvoiceDate=None if number % 5 == 0 else day,  # declared as not nullable, null all the same
        **both("LineTotal", total),
        **both("GoodsTotal", total),
        **book.audit(day, "SO303000"),
    )
    entry = ((RECEIVABLE, total, money(0)), (REVENUE, money(0), total))
    book.postings.append(Posting("AR", batch, day, f"Invoice {ref}", entry))
    if not paid:
        return
    later, batch = day + timedelta(days=book.dice.randint(5, 40)), f"ARP{number + 1:07d}"
    book.add(
        "PX.Objects.AR.ARPayment",
        **document("PMT", f"PM{number + 1:06d}", batch, later, total, money(0)),
        **shared,
        DocDesc=f"Payment of {ref}",
        Status="C",
        PaymentMethodID="CHECK",
        ExtRefNbr=f"CHK{number:05d}",
        AdjDate=later,
        AdjFinPeriodID=period(later),
        Cleared=True,
        ClearDate=later,
        **book.audit(later, "AR302000"),
    )
    entry = ((CASH, total, money(0)), (RECEIVABLE, money(0), total))
    book.postings.append(Posting("AR", batch, later, f"Payment of {ref}", entry))


def document(  # noqa: PLR0913, PLR0917 - the columns that all documents have
    kind: str, ref: str, batch: str, day: datetime, total: Decimal, balance: Decimal
) -> dict[str, object]:
    """The columns that all receivable and payable documents share."""
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
        **both("OrigDocAmt", total),
        **both("DocBal", balance),
    }


def _day(order: dict[str, object]) -> datetime:
    day = order["OrderDate"]
    assert isinstance(day, datetime)  # noqa: S101 - written by this module
    return day


def _number(row: dict[str, object], name: str) -> Decimal:
    return Decimal(str(row[name]))
