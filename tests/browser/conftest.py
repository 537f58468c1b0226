"""A real Chromium, Debian's own, and one dashboard for all tests of a module."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.site import PASSWORD, Dashboard, dashboard
from tests.tools import need

CHROMIUM = shutil.which("chromium")
#: What is to be seen may take long on a busy machine, in milliseconds.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, or the reason why there is none."""
    need("chromium")
    with sync_playwright() as playwright:
        # As root there is no sandbox of its own; it only sees this machine's pages.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


@pytest.fixture(scope="package")
def shown() -> Iterator[Dashboard]:
    """A dashboard over what really happened."""
    with dashboard() as found:
        yield found


@pytest.fixture(scope="package")
def signed_in(
    browser: Browser, shown: Dashboard, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What a browser keeps of each person who has signed in through the form, as a file."""
    folder, found = tmp_path_factory.mktemp("browsers"), {}
    for name in ("ada", "eve", "root"):
        context = browser.new_context()
        sign_in(context.new_page(), shown, name)
        found[name] = folder / name
        context.storage_state(path=found[name])
        context.close()
    return found


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """A page in the browser of somebody who has not signed in."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def ada(browser: Browser, signed_in: dict[str, Path]) -> Iterator[Page]:
    """A page in the browser of Ada, the shop's owner, who has signed in, and is far from UTC."""
    context = browser.new_context(
        storage_state=signed_in["ada"], timezone_id="Asia/Kathmandu", locale="en-GB"
    )
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def sign_in(page: Page, shown: Dashboard, name: str, password: str = PASSWORD) -> None:
    """Fills in the form and sends it."""
    page.goto(f"{shown.url}/signin")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
