"""Whatever was recorded is shown harmless: in pages, lists, reports and live parts."""

from __future__ import annotations

import csv
import html
import io
import re
import time
from html.parser import HTMLParser

import pytest
from sqlalchemy import select

from standfast.diagnose.words import harmless
from standfast.store.tables import logged_error, request, route, worker
from tests.e2e.web.dashboard import HOSTILE, SECRET, STRANGE_APP, Dashboard

#: Elements that our templates have; anything else was made by what was recorded.
OURS = re.compile(
    "html|head|meta|title|link|script|style|body|a|header|details|summary|ul|ol|li|form|input|button"
    "|nav|main|section|h[1-4]|p|span|b|br|code|pre|div|table|thead|tbody|tr|th|td|footer|label"
    "|select|option|time|figure|figcaption|svg|rect|polyline|g|dl|dt|dd"
)
#: Attributes by which a text could act.
_ACTS = re.compile(r"on|style$|srcdoc$|formaction$|background$|ping$|xlink")
_FORMULAS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class Page(HTMLParser):
    """A page as a browser takes it apart: elements with attributes, and the text that is read."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data


def inert(text: str) -> Page:
    """The page, which may hold nothing that acts but what is ours."""
    page = Page(text)
    assert sum(tag in ("script", "style") for tag, _ in page.elements) <= 1
    for tag, attributes in page.elements:
        assert OURS.fullmatch(tag), (tag, attributes)
        assert not any(map(_ACTS.match, attributes)), (tag, attributes)
        for name in ("href", "action", "src", "data-live"):
            address = attributes.get(name, "/")
            assert address in ("", "#content") or re.match(r"/(?!/)", address), address
        if tag == "script":
            assert attributes["src"].startswith("/static/live.js?")
        shown = [value for name, value in attributes.items() if name not in ("href", "action")]
        for value in (page.text, *shown):
            # What the templates themselves hold: line ends, and the space within numbers.
            acting = {one for one in value if not one.isprintable()} - {"\n", "\u202f"}
            assert not acting, (tag, attributes, acting)
    return page


@pytest.mark.parametrize("app", ["shop", STRANGE_APP])
def test_no_page_holds_anything_that_acts(shown: Dashboard, app: str) -> None:
    root = shown.signed_in("root")
    for path in ("/", *shown.paths(app)):
        if not path.endswith((".json", ".csv")):
            answer = root.get(path[1:], follow_redirects=True)
            assert answer.status_code == 200 and inert(answer.text).text.strip(), path


def test_every_hostile_request_has_a_page_that_shows_all_of_it(shown: Dashboard) -> None:
    root, app = shown.signed_in("root"), shown.app("shop")
    uids = {row.id: row.uid for row in shown.house.rows(worker)}
    rows = [
        row for outcome in ("failed", "slow", "unfinished", "open")
        for row in shown.house.rows(request, application_id=app, outcome=outcome)
    ]  # fmt: skip
    assert len(rows) > 2 * len(HOSTILE)
    for row in rows:
        answer = root.get(f"apps/{app}/requests/{uids[row.worker_id]}-{row.seq}")
        text = inert(answer.text).text
        for recorded in (row.uri, row.user_agent, row.client, row.host, row.forwarded_for):
            assert harmless(recorded) in text
        if row.error:
            assert "\n".join(map(harmless, row.error.split("\n"))) in text


def test_every_link_on_a_page_of_hostile_texts_leads_somewhere(shown: Dashboard) -> None:
    root, app = shown.signed_in("root"), f"apps/{shown.app('shop')}"
    links: set[str] = set()
    for name in ("slow", "errors", "crashes", "suspects"):
        page = Page(root.get(f"{app}/{name}", params={"period": "all"}).text)
        found = [attributes["href"] for tag, attributes in page.elements if "href" in attributes]
        links |= {link for link in found if "place=" in link or "route=" in link}
    assert len(links) > len(HOSTILE)
    for link in links:
        answer = root.get(link[1:])
        assert answer.status_code == 200, link
        assert 'class="empty"' not in answer.text or "fine" in link, link


def test_lists_for_programs_hold_exactly_what_was_recorded(shown: Dashboard) -> None:
    root, app = shown.signed_in("root"), shown.app("shop")
    answer = root.get(f"apps/{app}/errors.json", params={"period": "all"})
    assert answer.content.isascii() and not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", answer.content)
    rows = shown.house.rows(request, application_id=app, outcome="failed")
    for key in ("uri", "user_agent", "client", "method", "error"):
        assert sorted(one[key] for one in answer.json()) == sorted(getattr(r, key) for r in rows)


@pytest.mark.parametrize("app", ["shop", STRANGE_APP])
def test_no_cell_of_a_spreadsheet_is_a_formula(shown: Dashboard, app: str) -> None:
    root, tried = shown.signed_in("root"), 0
    for name in ("crashes", "slow", "errors", "inflight", "suspects"):
        answer = root.get(f"apps/{shown.app(app)}/{name}.csv", params={"period": "all"})
        rows = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
        assert len(rows) > 1 and len({len(row) for row in rows}) == 1, name
        for cell in (cell for row in rows for cell in row):
            tried += cell.startswith("'")
            if cell.startswith(_FORMULAS):
                float(cell)
    assert tried > 10


def test_file_names_hold_nothing_that_ends_a_header(shown: Dashboard) -> None:
    root, app = shown.signed_in("root"), shown.app(STRANGE_APP)
    for path in (p for p in shown.paths(STRANGE_APP) if p.count(".") == 1):
        answer = root.get(path[1:])
        named = answer.headers["content-disposition"]
        assert re.fullmatch(r'attachment; filename="standfast-[A-Za-z0-9._-]+"', named)
        assert "set-cookie" not in answer.headers
    assert root.get(f"apps/{app}/report.html").status_code == 200


@pytest.mark.parametrize("part", ["inflight", "crashes"])
def test_a_live_part_cannot_be_left_by_line_ends(shown: Dashboard, part: str) -> None:
    root = shown.signed_in("root")
    with root.stream("GET", f"apps/{shown.app(STRANGE_APP)}/live/{part}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event = b""
        for received in answer.iter_raw():
            event += received
            if event.endswith(b"\n\n"):
                break
    # Lines end as the HTML standard has it: with CR LF, LF or CR.
    lines = re.split(r"\r\n|\n|\r", event.decode())
    assert lines[-2:] == ["", ""] and "" not in lines[:-2]
    assert all(line.startswith("data: ") for line in lines[:-2])
    inert("\n".join(line[6:] for line in lines[:-2]))


def test_what_one_asks_for_comes_back_as_text(shown: Dashboard) -> None:
    ada, app = shown.signed_in("ada"), shown.app("shop")
    for hostile in (text.decode("utf-8", "replace") for text in HOSTILE):
        if "\0" in hostile or len(hostile) > 900:
            continue
        for name in ("q", "route", "host", "place", "period", "from", "sort", "page", "status"):
            answer = ada.get(f"apps/{app}/errors", params={name: hostile})
            assert answer.status_code in (200, 400)
            for tag, attributes in Page(answer.text).elements:
                assert OURS.fullmatch(tag) and not any(map(_ACTS.match, attributes))
    for name in ("signin", "signin?next=/%3Cscript%3E", "%3Cscript%3E", "shared/%3Cscript%3E"):
        inert(shown.client().get(name).text)


def test_what_was_only_logged_is_shown_beside_the_failures_and_is_ones_own(
    shown: Dashboard,
) -> None:
    place = "<img src=x onerror=alert(1)> wrong password"
    with shown.house.engine.begin() as connection:
        for app, words in (("shop", place), ("bank", SECRET)):
            template = connection.execute(
                select(route.c.id).where(route.c.application_id == shown.app(app)).limit(1)
            ).scalar()
            times = {"first_ns": time.time_ns(), "last_ns": time.time_ns()}
            row = {"route_id": template, "place": words, "count": 471, "error": words, **times}
            connection.execute(logged_error.insert().values(**row))
    answer = shown.signed_in("ada").get(f"apps/{shown.app('shop')}/errors")
    assert ">471<" in answer.text
    assert html.escape(place) in answer.text and place not in answer.text
    assert SECRET not in answer.text
