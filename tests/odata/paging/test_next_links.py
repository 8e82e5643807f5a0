"""nextLinks are followed as far as they lead somewhere."""

from __future__ import annotations

import pytest

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.paging.by_key import KeyPager
from tap_acumatica.odata.paging.by_offset import OffsetPager
from tap_acumatica.odata.paging.keyless import KeylessPager
from tap_acumatica.odata.paging.next_links import MAX_EMPTY_PAGES, NextLinks
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.payload.page import Page
from tap_acumatica.odata.table import Table

TABLE = Table("Rows", {"K": edm.INTEGER}, ("K",))


@pytest.mark.parametrize("kind", [KeyPager, OffsetPager, KeylessPager])
@pytest.mark.parametrize("size", [10, None])
def test_links_from_one_empty_page_to_the_next_come_to_an_end(
    kind: type[KeyPager | OffsetPager | KeylessPager], size: int | None
) -> None:
    pager = kind(TABLE, Paging(size))
    for number in range(MAX_EMPTY_PAGES):
        assert not pager.done
        pager.request()
        pager.accept(Page([], None, f"Rows?$skiptoken={number}"))
    with pytest.raises(InconsistentAnswer, match="without rows"):
        pager.accept(Page([], None, "Rows?$skiptoken=last"))


def test_pages_with_rows_in_between_start_the_count_anew() -> None:
    links = NextLinks(TABLE)
    for number in range(5 * MAX_EMPTY_PAGES):
        links.follow(str(number), [{"K": number}] if number % MAX_EMPTY_PAGES == 0 else [])
