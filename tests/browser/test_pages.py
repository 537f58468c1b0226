"""What a customer sees, in a real browser, of what really happened."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.site import HOSTILE, Dashboard, wait_for_flight

pytestmark = pytest.mark.browser
PAGES = ("", "crashes", "suspects", "slow", "errors", "inflight", "shares")


def visit(page: Page, shown: Dashboard, name: str = "", query: str = "?period=1h") -> None:
    """Opens a page about the shop."""
    answer = page.goto(shown.page(name) + query)
    assert answer is not None and answer.status == 200


def test_with_name_and_password_one_lands_on_the_page_that_one_wanted(
    stranger: Page, shown: Dashboard
) -> None:
    page = stranger
    page.goto(shown.page("crashes") + "?period=all&sort=host")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.keyboard.press("Enter")
    expect(page).to_have_url(shown.page("crashes") + "?period=all&sort=host")


def test_a_wrong_password_is_said_and_opens_nothing(stranger: Page, shown: Dashboard) -> None:
    page = stranger
    sign_in(page, shown, "nobody-here", "wrong horse battery staple")
    expect(page.get_by_role("alert")).to_contain_text("do not fit together")
    page.goto(shown.page())
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_overview_says_what_brings_the_shop_down(ada: Page, shown: Dashboard) -> None:
    ada.goto(shown.url)  # who may see one application only is led there
    expect(ada).to_have_url(shown.page())
    expect(ada.get_by_role("heading", name="Falling")).to_be_visible()
    expect(ada.get_by_text("The one incident is the application's own doing.")).to_be_visible()
    expect(
        ada.get_by_role("img", name=re.compile("^Crashes and hangs over time: 1 in"))
    ).to_be_visible()
    expect(ada.get_by_text("GET /segv").first).to_be_visible()
    expect(ada.get_by_text(re.compile("ValueError at .*shop_wsgi.py"))).to_be_visible()


def test_from_the_crashes_one_comes_to_the_story_and_to_the_request(
    ada: Page, shown: Dashboard
) -> None:
    visit(ada, shown, "crashes")
    expect(ada.get_by_text("culprit")).to_be_visible()
    ada.locator("td.t a").first.click()
    expect(ada.get_by_role("heading", name=re.compile("^A worker died"))).to_be_visible()
    expect(ada.get_by_text("Fatal Python error: Segmentation fault").first).to_be_visible()
    expect(ada.get_by_role("heading", name="What would refute it")).to_be_visible()
    expect(ada.locator(".story li.end")).to_contain_text("SIGSEGV")
    ada.locator("tr.culprit .uri").click()
    expect(ada.get_by_role("heading", name="GET /segv?to=%3Cb%3EAda%3C/b%3E")).to_be_visible()
    expect(ada.get_by_text("Never finished")).to_be_visible()


def test_the_suspects_are_ranked_and_lead_to_their_crashes(ada: Page, shown: Dashboard) -> None:
    visit(ada, shown, "suspects")
    first = ada.locator("tbody tr").first
    expect(first).to_contain_text("/segv")  # the page asks again until the ranking is made
    first.locator("a").click()
    expect(ada).to_have_url(re.compile(r"/crashes\?.*route=%2Fsegv"))
    expect(ada.locator("tbody tr")).to_have_count(1)


def test_slow_shows_how_long_each_route_takes_and_the_slowest(ada: Page, shown: Dashboard) -> None:
    visit(ada, shown, "slow")
    row = ada.locator("tbody").first.get_by_role("row").filter(has_text="/sleep")
    expect(row).to_contain_text(re.compile(r"(49\d|5\d\d|6\d\d) ms"))
    expect(ada.locator("tbody").last.get_by_role("row").first).to_contain_text("/sleep?0.5")


def test_errors_are_grouped_by_where_they_come_from(ada: Page, shown: Dashboard) -> None:
    visit(ada, shown, "errors")
    group = ada.locator("tbody").first.get_by_role("row").filter(has_text="ValueError at")
    expect(group.locator("td.n")).to_have_text(str(3 + len(HOSTILE)))
    group.locator("a").click()
    expect(ada.get_by_role("heading", name=f"Errors {3 + len(HOSTILE)}")).to_be_visible()
    ada.locator("tbody .uri").first.click()
    expect(ada.locator("pre")).to_contain_text("boom in the shop")


def test_lists_are_searched_sorted_and_exported_as_they_are_shown(
    ada: Page, shown: Dashboard
) -> None:
    visit(ada, shown, "errors")
    ada.get_by_text("Filter", exact=True).click()
    ada.get_by_label("Contains").fill("order=1")
    ada.get_by_role("button", name="Apply").click()
    expect(ada).to_have_url(re.compile("q=order%3D1"))
    expect(ada.get_by_role("heading", name="Errors 3")).to_be_visible()
    ada.get_by_role("link", name="Took").click()
    expect(ada.locator("th[aria-sort=descending]")).to_contain_text("Took")
    with ada.expect_download() as download:
        ada.get_by_role("link", name="JSON").click()
    rows = json.loads(download.value.path().read_text())
    assert [row["uri"] for row in rows] == ["/boom?order=1"] * 3
    assert all("boom in the shop" in row["error"] for row in rows)


def test_what_is_in_flight_shows_by_itself_while_it_runs_and_goes_when_it_ends(
    ada: Page, shown: Dashboard
) -> None:
    visit(ada, shown, "inflight", "")
    expect(ada.get_by_text("Nothing is in flight.")).to_be_visible()
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(shown.server.get, "/sleep?6")
        row = ada.get_by_role("row").filter(has_text="/sleep?6")
        expect(row).to_be_visible(timeout=5_000)
        age = row.locator("td").first
        first = age.inner_text()
        expect(age).not_to_have_text(first)
        assert answer.result()[0] == 200
    expect(ada.get_by_text("Nothing is in flight.")).to_be_visible()


def test_without_javascript_every_page_says_the_same(
    browser: Browser, signed_in: dict[str, Path], shown: Dashboard
) -> None:
    context = browser.new_context(storage_state=signed_in["ada"], java_script_enabled=False)
    page = context.new_page()
    for name in PAGES:
        visit(page, shown, name)
        expect(page.locator("h1")).to_be_visible()
    visit(page, shown, "suspects")
    expect(page.locator("tbody tr").first).to_contain_text("/segv")
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(shown.server.get, "/sleep?2")
        wait_for_flight(shown.store)
        visit(page, shown, "inflight", "")
        expect(page.get_by_role("row").filter(has_text="/sleep?2")).to_be_visible()
        expect(page.get_by_text("Reload the page")).to_be_visible()
        answer.result()
    context.close()


def test_times_are_in_the_zone_of_the_reader_with_utc_on_hover(ada: Page, shown: Dashboard) -> None:
    visit(ada, shown, "crashes")
    time = ada.locator("td time").first
    utc, local = time.get_attribute("title"), time.inner_text()
    assert utc is not None and utc.endswith(" UTC")
    minutes = int(local[-5:-3]) - int(utc[14:16])
    assert minutes % 60 == 45  # Kathmandu is five hours and three quarters ahead
    expect(ada.locator("footer")).to_contain_text(re.compile("Asia/Kath?mandu"))


def test_a_report_is_handed_over_by_a_link_that_ends_when_it_is_withdrawn(
    ada: Page, stranger: Page, shown: Dashboard
) -> None:
    visit(ada, shown, "shares")
    ada.get_by_role("button", name="Make a link").click()
    link = ada.locator("tbody .uri").first.inner_text()
    stranger.goto(link)
    expect(stranger.locator(".answer")).to_contain_text("application's own doing")
    # Its style is its own, and the only one that the server lets it have.
    assert stranger.evaluate("getComputedStyle(document.querySelector('h1')).fontWeight") == "600"
    ada.get_by_role("button", name="Withdraw").first.click()
    expect(ada.get_by_text("No link is out.")).to_be_visible()
    answer = stranger.goto(link)
    assert answer is not None and answer.status == 404


def test_the_downloaded_report_needs_nothing_but_itself(
    ada: Page, browser: Browser, shown: Dashboard, tmp_path: Path
) -> None:
    visit(ada, shown, "shares")
    with ada.expect_download() as download:
        ada.get_by_role("link", name="Download the report").click()
    download.value.save_as(tmp_path / "report.html")
    alone = browser.new_context(offline=True).new_page()
    alone.goto(f"file://{tmp_path}/report.html")
    expect(alone.locator(".answer")).to_contain_text("application's own doing")
    alone.context.close()
