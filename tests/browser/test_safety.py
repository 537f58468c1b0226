"""Hostile texts, other people's pages, other people's forms: in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.browser.conftest import sign_in
from tests.browser.site import HOSTILE, Dashboard
from tests.browser.test_pages import PAGES, visit

pytestmark = pytest.mark.browser


def test_what_was_recorded_neither_runs_nor_breaks_the_layout(ada: Page, shown: Dashboard) -> None:
    said: list[str] = []
    ada.on("console", lambda message: said.append(message.text))
    ada.on("pageerror", lambda error: said.append(str(error)))
    for width in (1280, 390):
        ada.set_viewport_size({"width": width, "height": 800})
        for name in PAGES:
            visit(ada, shown, name)
            assert "taken" not in ada.title()
            assert ada.evaluate("document.documentElement.scrollWidth") <= width, name
        visit(ada, shown, "errors")
        shapes = ada.locator("tbody").last.locator(".uri")
        for at in range(shapes.count()):
            box = shapes.nth(at).bounding_box()
            assert box is not None and box["height"] < 200
    text = ada.locator("main").inner_text()
    assert "<script>document.title='taken'</script>" in text
    assert said == []


def test_each_hostile_request_has_a_page_that_shows_all_of_it(ada: Page, shown: Dashboard) -> None:
    visit(ada, shown, "errors")
    agents: list[str] = []
    failed = ada.locator("section", has=ada.get_by_role("heading", name="Failed requests"))
    links = [link.get_attribute("href") for link in failed.locator(".uri").all()]
    assert len(links) == 3 + len(HOSTILE)
    for link in links:
        ada.goto(f"{shown.url}{link}")
        assert "taken" not in ada.title()
        assert ada.evaluate("document.documentElement.scrollWidth <= innerWidth")
        text = ada.locator("main").inner_text()
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00-\x08\x1b\ufffd]", text)
        agents.append(ada.locator("dt", has_text="User agent").locator("+ dd").inner_text())
    assert "Mozilla \\u202egnp.exe\\u2066\\u200b" in agents
    assert r"Mozilla \xff\xfe\x80\x9b31m" in agents
    assert ada.locator("svg[onload], script:not([src])").count() == 0


def test_a_customer_gets_nothing_of_another_ones_addresses(
    browser: Browser, signed_in: dict[str, Path], shown: Dashboard
) -> None:
    context = browser.new_context(storage_state=signed_in["eve"])
    for path in (
        "", "/crashes", "/crashes/1", "/suspects", "/slow", "/errors", "/inflight", "/shares",
        "/crashes.json", "/errors.csv", "/report.html", "/live/inflight", "/requests/1-1-1",
    ):  # fmt: skip
        answer = context.request.get(f"{shown.page()}{path}")
        assert answer.status == 404, path
        assert "segv" not in answer.text()
    mine = context.request.get(f"{shown.page(app='other')}/slow.json?period=1h")
    assert mine.json()[0]["uri"] == "/secret?of=the-other"
    # Nor by naming what belongs to another application under one's own.
    assert context.request.get(f"{shown.page(app='other')}/crashes/1").status == 404
    context.close()


def test_an_admin_sees_all_applications(
    browser: Browser, signed_in: dict[str, Path], shown: Dashboard
) -> None:
    context = browser.new_context(storage_state=signed_in["root"])
    page = context.new_page()
    page.goto(shown.url)
    expect(page.locator("ul.cards a")).to_have_text(["other", "shop"])
    context.close()


def test_a_form_on_another_site_cannot_act_for_who_is_signed_in(
    ada: Page, shown: Dashboard
) -> None:
    # The same machine by another name is another site to a browser.
    target = f"{shown.url}/signout"
    ada.route(
        "http://localhost:1/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<form method=post action='{target}'><input name=everywhere value=1></form>",
        ),
    )
    ada.goto("http://localhost:1/")
    sent: list[Request] = []
    ada.on("request", lambda request: sent.append(request))
    with ada.expect_navigation():
        ada.evaluate("document.forms[0].submit()")
    answer = sent[0].response()
    assert answer is not None and (sent[0].method, answer.status) == ("POST", 403)
    visit(ada, shown)  # still signed in


def test_signing_out_everywhere_ends_the_sessions_of_all_browsers(
    browser: Browser, shown: Dashboard
) -> None:
    contexts: list[BrowserContext] = [browser.new_context() for _ in range(2)]
    here, there = [context.new_page() for context in contexts]
    for page in (here, there):
        sign_in(page, shown, "root")
        page.goto(f"{shown.url}/account")
        expect(page.get_by_text("You see all applications.")).to_be_visible()
    here.get_by_role("button", name="Sign out everywhere").click()
    expect(here.get_by_role("heading", name="Sign in")).to_be_visible()
    there.goto(f"{shown.url}/account")
    expect(there.get_by_role("heading", name="Sign in")).to_be_visible()
    for context in contexts:
        context.close()


def test_no_page_asks_anything_of_another_host(ada: Page, shown: Dashboard) -> None:
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        visit(ada, shown, name)
    assert asked
    assert all(url.startswith(f"{shown.url}/") for url in asked)
