"""Batches, ledger lines, account balances, and ledger preferences."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from sandbox.company.book import FIRST_DAY, Book, Posting, in_both_currencies, money, period

LEDGER, BRANCH, SUB = 5, 16, 500
EXPENSES = (1012, 1013, 1014, 1015)
CASH = 1000
SUBACCOUNTS = 3  # used in ledger lines, in turn
UNDATED_EVERY = 9  # every ninth balance has no modification stamp


def write(book: Book) -> None:
    """Write the ledger."""
    postings = list(book.postings)
    lines = sum(len(posting.lines) for posting in postings)
    number = 0
    while lines < book.size or not number:
        number += 1
        amount = money(Decimal(book.random.randint(100, 500_000)) / 100)
        day = book.day(min(number / (book.size + 1), 1))
        entry = (
            (book.random.choice(EXPENSES), amount, money(0)),
            (CASH, money(0), amount),
        )
        postings.append(Posting("GL", f"GL{number:08d}", day, book.text("Expense"), entry))
        lines += len(entry)
    for at, posting in enumerate(postings):
        batch(book, at, posting)
    balances(book, postings)
    preferences(book)


def batch(book: Book, at: int, posting: Posting) -> None:
    """Write a batch with the totals of its lines, and the lines."""
    total = sum((debit for _, debit, _ in posting.lines), start=money(0))
    shared = {
        "Module": posting.module,
        "BatchNbr": posting.batch,
        "LedgerID": LEDGER,
        "FinPeriodID": period(posting.day),
        "TranPeriodID": period(posting.day),
        "Released": True,
        "Posted": True,
    }
    stamps = book.audit(posting.day, "GL301000")
    book.add(
        "PX.Objects.GL.Batch",
        **shared,
        DateEntered=posting.day,
        BatchType="H",
        Status="P",
        Description=posting.text,
        CuryID="USD",
        CuryInfoID=300_000 + at,
        LineCntr=len(posting.lines),
        AutoReverse=False,
        **in_both_currencies("DebitTotal", total),
        **in_both_currencies("CreditTotal", total),
        **in_both_currencies("ControlTotal", total),
        **stamps,
    )
    for line, (account, debit, credit) in enumerate(posting.lines, start=1):
        book.add(
            "PX.Objects.GL.GLTran",
            **shared,
            LineNbr=line,
            AccountID=account,
            SubID=SUB + line % SUBACCOUNTS,
            BranchID=BRANCH,
            RefNbr=posting.batch,
            TranID=at * 10 + line,
            TranDate=posting.day,
            TranDesc=posting.text,
            TranType="GLE",
            TranClass="N",
            CuryInfoID=300_000 + at,
            **in_both_currencies("DebitAmt", debit),
            **in_both_currencies("CreditAmt", credit),
            **{**stamps, "NoteID": book.guid()},
        )


def balances(book: Book, postings: list[Posting]) -> None:
    """Write the balance of each account in each period."""
    sums: dict[tuple[int, str], list[Decimal]] = defaultdict(lambda: [money(0), money(0)])
    last = {}
    for posting in postings:
        for account, debit, credit in posting.lines:
            key = (account, period(posting.day))
            sums[key][0] += debit
            sums[key][1] += credit
            last[key] = posting.day
    for number, (key, (debit, credit)) in enumerate(sorted(sums.items())):
        account, fin_period = key
        modified = book.audit(last[key], "GL301000")["LastModifiedDateTime"]
        book.add(
            "PX.Objects.GL.GLHistory",
            LedgerID=LEDGER,
            BranchID=BRANCH,
            AccountID=account,
            SubID=SUB,
            FinPeriodID=fin_period,
            FinYear=fin_period[2:],
            BalanceType="A",
            CuryID="USD",
            FinPtdDebit=debit,
            FinPtdCredit=credit,
            TranPtdDebit=debit,
            TranPtdCredit=credit,
            CuryFinPtdDebit=debit,
            CuryFinPtdCredit=credit,
            LastModifiedDateTime=None if number % UNDATED_EVERY == 0 else modified,
        )


def preferences(book: Book) -> None:
    """Write the one row of ledger preferences."""
    stamps = book.audit(FIRST_DAY, "GL102000")
    del stamps["NoteID"]
    book.add(
        "PX.Objects.GL.GLSetup",
        AutoRevOption="P",
        AutoPostOption=True,
        COAOrder=1,
        BatchNumberingID="BATCH",
        TrialBalanceSign="N",
        PerRetainTran=99,
        HoldEntry=True,
        **stamps,
    )
