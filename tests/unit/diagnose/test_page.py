"""The page to hand over: complete, self-contained, and harmless whatever was recorded."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from standfast.diagnose.page import bars, headline, render
from standfast.diagnose.suspects import Incident, Request, expose, rank
from standfast.diagnose.verdict import CAUSES, PeriodVerdict, judge
from standfast.diagnose.verdict.period import Judged, combine
from tests.unit.diagnose.verdict import cases as c
from tests.unit.diagnose.verdict.test_rules import CASES

HOSTILE = "/a?<script>alert(1)</script>\"' onload=x&amp;\u202e\x1b[31m\x00\u200b"


class Reader(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.shown = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.shown += data


def period(*names: str) -> PeriodVerdict:
    """A period with these cases of the rules' tests, one after another."""
    cases = [
        dataclasses.replace(CASES[name][0], incident_id=n, died_ns=c.DIED_NS + n * c.SECOND)
        for n, name in enumerate(names)
    ]
    return combine("shop", None, [Judged(case, judge(case)) for case in cases])


def page_of(found: PeriodVerdict) -> str:
    return render(found, None, c.DIED_NS)


def test_every_cause_can_be_shown() -> None:
    found = period(*CASES)
    shown = Reader(page_of(found)).shown
    for cause in CAUSES.values():
        assert cause.words in shown
        assert cause.fix in shown
        assert all(sentence in shown for sentence in cause.refute)


def test_it_says_what_how_often_since_when_which_request_and_why() -> None:
    found = period(*["segfault with a traceback"] * 3, "SIGTERM from a deploy")
    shown = Reader(page_of(found)).shown
    for words in (
        "3 of 4 incidents are the application's own doing.",
        "2026-11-23 08:57:47 UTC",
        "GET /label/{int}",
        "GET /label/150",
        "Process 4711 was ended by SIGSEGV (pidfd, 2026-11-23T08:57:47.633Z).",
        'File "shop.py", line 40 in step0',
    ):
        assert words in shown


def test_what_was_recorded_is_shown_and_does_nothing() -> None:
    known = c.case(
        c.ended("SIGSEGV"),
        c.fact("log", HOSTILE, HOSTILE, log=HOSTILE),
        c.fact("traceback", "faulthandler", f"Fatal Python error: {HOSTILE}", thread=0x7F01),
        requests=(c.request(HOSTILE, client=HOSTILE, name=HOSTILE, user_agent=HOSTILE),),
    )
    known = dataclasses.replace(known, app=HOSTILE, host=HOSTILE)
    page = page_of(combine(HOSTILE, 0, [Judged(known, judge(known))]))
    reader = Reader(page)
    assert "script" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in reader.shown
    assert r"\u202e\x1b[31m\x00\u200b" in reader.shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\x00-\x08\x0b-\x1f\x7f]", page)


def test_it_loads_nothing_from_elsewhere() -> None:
    ranking = rank(
        [Incident([Request("/label/{int}", 0.1)])] * 4, expose([Request("/page", 0.1)], 100.0)
    )
    page = render(period(*CASES), ranking, c.DIED_NS)
    reader = Reader(page)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(reader.tags)
    assert not {"src", "href", "srcset", "action"} & {name for name, _ in reader.attributes}
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert reader.open == []


def test_the_suspects_are_named_with_their_probability() -> None:
    requests = [Request("/killer", 0.1), Request("/page", 0.1)]
    ranking = rank([Incident(requests[:1])] * 6, expose(requests * 50, 100.0))
    shown = Reader(render(period("segfault without one"), ranking, c.DIED_NS)).shown
    assert "/killer" in shown
    assert ranking.statement in shown


def test_a_period_without_incidents_says_so() -> None:
    shown = Reader(page_of(period())).shown
    assert "No worker died or hung in this period." in shown


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["SIGTERM from a deploy"], "The one incident is the operator's doing."),
        (["the machine restarted"] * 2, "All 2 incidents are the platform's doing."),
        (["nothing is known"] * 2, "The evidence of 2 incidents does not lay most of them to"),
    ],
)
def test_the_headline_is_the_answer(names: list[str], words: str) -> None:
    assert headline(period(*names)).startswith(words)


def test_the_bars_add_up_to_all_incidents() -> None:
    moments = tuple((c.DIED_NS + n * n, "platform" if n % 3 else "operator") for n in range(100))
    drawn = bars(moments)
    assert sum(int(bar.title.split()[0]) for bar in drawn) == 100
    assert all(0 <= bar.x < 100 for bar in drawn)
    assert min(part[1] for bar in drawn for part in bar.parts) == pytest.approx(0)
    assert bars(()) == []
