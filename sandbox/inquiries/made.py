"""The company's inquiries, each for a trait of real ones."""

from __future__ import annotations

from sandbox.inquiries.model import Inquiry, Parameter

ORDER_STATUS = (
    "CASE o.Status WHEN 'N' THEN 'Open' WHEN 'H' THEN 'On Hold' WHEN 'S' THEN 'Shipping'"
    " WHEN 'C' THEN 'Completed' ELSE o.Status END"
)
ITEM_STATUS = (
    "CASE i.ItemStatus WHEN 'AC' THEN 'Active' WHEN 'NP' THEN 'No Purchases'"
    " WHEN 'IN' THEN 'Inactive' ELSE i.ItemStatus END"
)
WAREHOUSE = "CASE s.SiteID WHEN 61 THEN 'MAIN      ' WHEN 62 THEN 'RETAIL    ' END"
ORDERS = "{SOOrder} o LEFT JOIN {Customer} c ON c.BAccountID=o.CustomerID"
STOCK = "{INLocationStatus} s JOIN {InventoryItem} i ON i.InventoryID=s.InventoryID"
INVOICES = "{ARInvoice} d LEFT JOIN {Customer} c ON c.BAccountID=d.CustomerID"
LEDGER = "{GLTran} t LEFT JOIN {Batch} b ON b.Module=t.Module AND b.BatchNbr=t.BatchNbr"

INQUIRIES = (
    Inquiry(
        "Customer Contacts",
        "{Contact} k JOIN {Customer} c ON c.BAccountID=k.BAccountID",
        """
        AccountName:s = c.AcctName
        ContactID:i* = k.ContactID
        DisplayName:s = k.DisplayName
        EMail:s = k.EMail
        IsActive:b = k.IsActive
        LastModifiedOn:t = k.LastModifiedDateTime
        CustomerID:s+ = c.AcctCD
        """,
    ),
    Inquiry(
        "Modified Stock Items",
        STOCK,
        f"""
        InventoryID:s* = i.InventoryCD
        Warehouse:s = {WAREHOUSE}
        ItemStatus:s = {ITEM_STATUS}
        LastModifiedOn:t = i.LastModifiedDateTime
        QtyOnHand:d = s.QtyOnHand
        InventoryID_2:i+ = s.InventoryID
        Subitem:i+ = s.SubItemID
        LocationID:i+ = s.LocationID
        SiteID:i+ = s.SiteID
        """,
        where="i.StkItem=1",
    ),
    Inquiry(
        "SO-Order Summary",
        ORDERS,
        f"""
        OrderType:s* = o.OrderType
        OrderNbr:s* = o.OrderNbr
        Customer:s = c.AcctName
        Status:s = {ORDER_STATUS}
        Date:day = o.OrderDate
        OrderTotal:d = o.OrderTotal
        Cancelled:b = o.Cancelled
        NoteID:g = o.NoteID
        CreatedOn:t = o.CreatedDateTime
        LastModifiedOn:t = o.LastModifiedDateTime
        LastModifiedOn_2:t = c.LastModifiedDateTime
        CustomerID:s+ = c.AcctCD
        """,
    ),
    Inquiry(
        "Inventory-Status",
        "{INLocationStatus} s",
        """
        Item:i* = s.InventoryID
        Warehouse:i* = s.SiteID
        Location:i* = s.LocationID
        Subitem:i* = s.SubItemID
        QtyOnHand:d = s.QtyOnHand
        LastModifiedOn:t = s.LastModifiedDateTime
        """,
    ),
    Inquiry(
        "DB-StorageDetails",
        STOCK,
        f"""
        InventoryID:s* = i.InventoryCD
        Warehouse:s = {WAREHOUSE}
        QtyOnHand:d = s.QtyOnHand
        Warehouse_2:i+ = s.SiteID
        """,
        where=f"trim({WAREHOUSE})=:Warehouse",
        parameters=(Parameter("Warehouse"),),
    ),
    Inquiry(
        "ItemAvailabilityData",
        STOCK,
        f"""
        InventoryID:s* = i.InventoryCD
        Warehouse:s = {WAREHOUSE}
        Available:d = s.QtyAvail
        LastModifiedOn:t = s.LastModifiedDateTime
        """,
        where="(:InventoryID IS NULL OR trim(i.InventoryCD)=trim(:InventoryID))",
        parameters=(Parameter("InventoryID"),),
    ),
    Inquiry(
        "Invoices of a Period",
        INVOICES,
        """
        RefNbr:s* = d.RefNbr
        Type:s* = d.DocType
        Customer:s = c.AcctName
        Date:day = d.DocDate
        Amount:d = d.OrigDocAmt
        LastModifiedOn:t = d.LastModifiedDateTime
        CustomerID:s+ = c.AcctCD
        """,
        where=(
            "d.DocDate>=:From AND CAST(d.OrigDocAmt AS REAL)>=:Least AND d.Released=:Released"
            " AND c.BAccountID>=:Account"
        ),
        parameters=(
            Parameter("From", "Edm.DateTimeOffset"),
            Parameter("Least", "Edm.Decimal"),
            Parameter("Released", "Edm.Boolean"),
            Parameter("Account", "Edm.Int32"),
        ),
    ),
    Inquiry(
        "2nd Quarter Sales",
        ORDERS,
        """
        OrderNbr:s* = o.OrderNbr
        _2ndTotal:d = o.OrderTotal
        Größe:d = o.OrderQty
        OrderType:s+ = o.OrderType
        """,
        where="substr(o.OrderDate,6,2) IN ('04','05','06')",
    ),
    Inquiry(
        "Продажи по клиентам",
        ORDERS,
        """
        Клиент:s = c.AcctName
        Сумма:d = o.OrderTotal
        LastModifiedOn:t = o.LastModifiedDateTime
        OrderType:s+ = o.OrderType
        OrderNbr:s+ = o.OrderNbr
        """,
    ),
    Inquiry(
        "AR Aging",
        INVOICES,
        """
        RefNbr:s* = d.RefNbr
        DueDate:day = d.DueDate
        Balance:d = d.DocBal
        Type:s+ = d.DocType
        """,
        where="d.OpenDoc=1",
    ),
    Inquiry(
        "AR_Aging",
        INVOICES,
        """
        RefNbr:s* = d.RefNbr
        Status:s = CASE d.Status WHEN 'C' THEN 'Closed' ELSE 'Open' END
        Balance:d = d.DocBal
        """,
    ),
    Inquiry(
        "Sales by Customer",
        ORDERS,
        """
        Customer:s = c.AcctName
        Orders:i = count(*)
        Quantity:i = CAST(sum(CAST(o.OrderQty AS REAL)) AS INTEGER)
        OrderType:s+ = o.OrderType
        """,
        group="c.AcctName, o.Status",
    ),
    Inquiry(
        "Orders and Invoices",
        "{SOOrder} o LEFT JOIN {ARInvoice} d ON d.DocDesc=o.OrderDesc AND d.OrigDocAmt=o.LineTotal",
        """
        OrderNbr:s* = o.OrderNbr
        Invoice:s* = d.RefNbr
        Amount:d = d.OrigDocAmt
        OrderType:s+ = o.OrderType
        Type:s+ = d.DocType
        """,
    ),
    Inquiry(
        "GL-Journal",
        LEDGER,
        """
        Module:s* = t.Module
        Batch:s* = t.BatchNbr
        Line:i* = t.LineNbr
        Date:day = t.TranDate
        Description:s = t.TranDesc
        Debit:d = t.DebitAmt
        Credit:d = t.CreditAmt
        Net:s~ = printf('%s-%s', t.DebitAmt, t.CreditAmt)
        LastModifiedOn:t = t.LastModifiedDateTime
        """,
    ),
    Inquiry(
        "Formula & Dates 100%",
        "{InventoryItem} i",
        """
        InventoryID:s* = i.InventoryCD
        Description:s = i.Descr
        Price:d = i.BasePrice
        LastModifiedOn:t~ = i.LastModifiedDateTime
        """,
    ),
    Inquiry(
        "Vendor's Orders",
        "{POOrder} p JOIN {Vendor} v ON v.BAccountID=p.VendorID",
        """
        OrderNbr:s* = p.OrderNbr
        Vendor:s = v.AcctName
        Total:d = p.OrderTotal
        LastModifiedDateTime:t = p.LastModifiedDateTime
        OrderType:s+ = p.OrderType
        VendorID:s+ = v.AcctCD
        """,
    ),
    Inquiry(
        "Chart of Accounts",
        "{Account} a",
        """
        Account:s* = a.AccountCD
        Description:s = a.Description
        Active:b = a.Active
        """,
    ),
    Inquiry(
        "Credit Terms",
        "{Terms} m",
        """
        Terms:s* = m.TermsID
        Days:i = m.DayDue00
        LastModifiedOn:t = m.LastModifiedDateTime
        """,
    ),
    Inquiry(
        "Payments",
        "{ARPayment} d",
        """
        RefNbr:s* = d.RefNbr
        Method:s = d."ARPayment.PaymentMethodID"
        Applied:day = d."ARPayment.AdjDate"
        Amount:d = d.OrigDocAmt
        LastModifiedOn:t = d.LastModifiedDateTime
        Type:s+ = d.DocType
        """,
    ),
    Inquiry(
        "Account Balances",
        "{GLHistory} h LEFT JOIN {Account} a ON a.AccountID=h.AccountID",
        """
        Account:s* = a.AccountCD
        Period:s* = h.FinPeriodID
        Debit:d = h.FinPtdDebit
        LastModifiedOn:t = h.LastModifiedDateTime
        LedgerID:i+ = h.LedgerID
        SubID:i+ = h.SubID
        """,
    ),
)
"""The twenty inquiries that can be read."""

HIDDEN = (
    Inquiry("Payroll", "{Users} u", "Username:s* = u.Username"),
    Inquiry("Broken-Inquiry", "{Users} u", "Username:s* = u.Username", broken=True),
)
"""An inquiry that the account may not read, and one that is broken."""

UNREADABLE = "Sales/Returns"
"""Listed in the service document only: no address reaches a name with a slash."""
