"""For readers with other eyes and other hands: contrast, names, structure, keyboard, print.

The rules are those of WCAG 2.2, level AA, as far as a program can check them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Dashboard
from tests.browser.test_pages import PAGES, visit

pytestmark = pytest.mark.browser

#: Texts whose contrast to what is behind them is less than WCAG 1.4.3 asks for.
_PALE = """
() => {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = color;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((one, at) => one * a + under[at] * (1 - a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (element === null) return rgba(getComputedStyle(document.body).backgroundColor).slice(0, 3);
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, behind(element.parentElement));
  };
  const pale = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const style = getComputedStyle(element);
    if (!texts.currentNode.data.trim() || element.closest("script, svg, title")) continue;
    if (!element.checkVisibility() || element.closest(".hidden, .skip")) continue;
    const back = behind(element);
    const [one, two] = [light(over(rgba(style.color), back)), light(back)].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24;
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < (large ? 3 : 4.5)) pale.push([texts.currentNode.data.trim(), ratio]);
  }
  return pale;
}
"""
_STRUCTURE = """
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const levels = all("h1, h2, h3, h4").map((one) => Number(one.tagName[1]));
  const ids = all("[id]").map((one) => one.id);
  return {
    language: document.documentElement.lang,
    first: levels.filter((level) => level === 1).length,
    skipped: levels.filter((level, at) => at > 0 && level > levels[at - 1] + 1).length,
    twice: ids.filter((id, at) => ids.indexOf(id) !== at),
    main: all("main").length,
    unlabelled: all("input:not([type=hidden]), select").filter((one) => !one.labels.length).length,
    loose: all("thead th").filter((one) => one.scope !== "col").length,
  };
}
"""
_SOUND = {
    "language": "en", "first": 1, "skipped": 0, "twice": [], "main": 1, "unlabelled": 0, "loose": 0,
}  # fmt: skip
_INTERACTIVE = {"link", "button", "textbox", "searchbox", "combobox", "image", "DisclosureTriangle"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    browser: Browser,
    signed_in: dict[str, Path],
    shown: Dashboard,
    theme: Any,
) -> None:
    context = browser.new_context(storage_state=signed_in["ada"], color_scheme=theme)
    page = context.new_page()
    for name in (*PAGES, "crashes/1"):
        visit(page, shown, name)
        assert page.evaluate(_PALE) == [], name
    # The check itself sees what is too pale.
    page.evaluate("document.querySelector('h1').style.color = '#888'")
    page.evaluate("document.querySelector('h1').style.fontSize = '12px'")
    page.evaluate("document.querySelector('h1').style.backgroundColor = '#999'")
    assert page.evaluate(_PALE) != []
    context.close()


def test_axe_finds_nothing_to_mend(ada: Page, shown: Dashboard) -> None:
    # The page's own policy lets no script in, axe's neither: it is set aside for the check.
    context = ada.context.browser.new_context(  # type: ignore[union-attr]
        bypass_csp=True, storage_state=ada.context.storage_state()
    )
    page = context.new_page()
    for name in (*PAGES, "crashes/1"):
        visit(page, shown, name)
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == [], name
    page.evaluate("document.querySelector('main').innerHTML += '<img src=x>'")
    assert Axe().run(page).violations_count == 1
    context.close()


def test_every_page_is_built_so_that_it_can_be_read_aloud(ada: Page, shown: Dashboard) -> None:
    for name in (*PAGES, "crashes/1"):
        visit(ada, shown, name)
        assert ada.evaluate(_STRUCTURE) == _SOUND, name
        tree = ada.context.new_cdp_session(ada).send("Accessibility.getFullAXTree")
        for node in tree["nodes"]:
            role = node.get("role", {}).get("value")
            if role in _INTERACTIVE and not node.get("ignored"):
                assert node.get("name", {}).get("value", "").strip(), (name, node)


def test_everything_can_be_reached_and_seen_with_the_keyboard_alone(
    ada: Page, shown: Dashboard
) -> None:
    visit(ada, shown, "crashes")
    ada.keyboard.press("Tab")
    expect(ada.locator(".skip")).to_be_focused()
    reached = set()
    for _ in range(80):
        ada.keyboard.press("Tab")
        found = ada.evaluate(
            """() => {
              const one = document.activeElement;
              return [one.textContent.trim(), getComputedStyle(one).outlineStyle];
            }"""
        )
        if ada.evaluate("document.activeElement === document.body"):
            break
        assert found[1] != "none", found
        reached.add(found[0])
    assert {"Overview", "Hand over", "Sign out", "Filter", "CSV", "JSON", "24 hours"} <= reached
    ada.locator(".skip").focus()
    ada.keyboard.press("Enter")
    assert ada.evaluate("location.hash") == "#content"


def test_printed_there_is_only_what_there_is_to_read(ada: Page, shown: Dashboard) -> None:
    ada.emulate_media(media="print")
    visit(ada, shown, "crashes/1")
    for gone in (".tabs", ".who", ".filters"):
        for one in ada.locator(gone).all():
            expect(one).to_be_hidden()
    expect(ada.get_by_role("heading", name="What to do")).to_be_visible()
    assert ada.pdf()[:5] == b"%PDF-"
