"""On a screen as narrow as a phone's everything is read by scrolling down alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Dashboard
from tests.browser.test_pages import PAGES, visit

pytestmark = pytest.mark.browser
WIDTH = 390
_TOO_WIDE = """() => [...document.querySelectorAll("main .scroll, main table")]
    .filter(one => one.scrollWidth > one.clientWidth + 1)
    .map(one => one.outerHTML.slice(0, 80))"""
_OUTSIDE = """width => [...document.querySelectorAll("main td")]
    .filter(one => one.getClientRects().length && one.innerText.trim())
    .filter(one => one.getBoundingClientRect().left < 0
                || one.getBoundingClientRect().right > width)
    .map(one => one.innerText)"""


@pytest.fixture
def phone(ada: Page) -> Page:
    ada.set_viewport_size({"width": WIDTH, "height": 800})
    return ada


def test_no_table_has_to_be_scrolled_sideways(phone: Page, shown: Dashboard) -> None:
    visit(phone, shown, "shares")
    phone.get_by_role("button", name="Make a link").click()
    phone.get_by_role("button", name="Withdraw").first.wait_for()
    for name in (*PAGES, "crashes/1"):
        visit(phone, shown, name)
        if name == "suspects":  # shown as soon as they have been weighed
            phone.locator("td.bar").first.wait_for()
        assert phone.evaluate(_TOO_WIDE) == [], name
        assert phone.evaluate(_OUTSIDE, WIDTH) == [], name
    visit(phone, shown, "shares")
    phone.get_by_role("button", name="Withdraw").first.click()


def test_each_figure_of_a_suspect_and_of_a_route_says_what_it_is(
    phone: Page, shown: Dashboard
) -> None:
    label = "one => getComputedStyle(one, '::before').content"
    visit(phone, shown, "suspects")
    expect(phone.locator("td.bar b").first).to_be_in_viewport()
    labels = [
        cell.evaluate(label) for cell in phone.locator("tbody tr").first.locator("td.n").all()
    ]
    assert [text.strip('"\xa0 ') for text in labels] == [
        "between", "in flight in", "explains", "in flight for",
    ]  # fmt: skip
    visit(phone, shown, "slow")
    first = phone.locator("tbody tr").first
    for name in ("requests", "slow", "median", "95th", "99th", "together"):
        expect(first.locator(f"td[data-label='{name}']")).to_be_visible()
    phone.set_viewport_size({"width": 1280, "height": 800})
    assert first.locator("td.n").first.evaluate(label) == "none"
