"""``standfast report verdict``: whose job it is over a period, and the page to hand over."""

from __future__ import annotations

import json
import time
from pathlib import Path

from sqlalchemy import Engine

from standfast.cli.suspects import the_application
from standfast.cli.tables import Column, harmless, moment, print_pairs, print_table, print_words
from standfast.diagnose.page import headline, render
from standfast.diagnose.suspects import Ranking, rank
from standfast.diagnose.traffic import traffic
from standfast.diagnose.verdict import PeriodVerdict, period_verdict
from standfast.diagnose.verdict.ladder import word_for
from standfast.diagnose.words import percent
from standfast.errors import StandfastError
from standfast.store.period import Period
from standfast.store.queries import Filter


def show(engine: Engine, wanted: Filter, *, html: str | None, as_json: bool) -> int:
    """Judges the incidents of one application and prints, or writes, what that comes to.

    Raises StandfastError where the page cannot be written.
    """
    app = wanted.app or the_application(engine)
    found = period_verdict(engine, app, wanted.since_ns)
    if html is not None:
        page = render(found, _suspects(engine, found), time.time_ns())
        try:
            Path(html).write_text(page, encoding="utf-8")
        except OSError as error:
            raise StandfastError(f"{html}: {error.strerror}; name another --html FILE") from None
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        _print(found)
        if html is not None:
            print(f"Written: {harmless(html)}, one file to hand over")
        elif found.incidents:
            print("Next: the same with --html FILE, to hand over; standfast report incident ID")
    return 1 if found.incidents else 0


def _suspects(engine: Engine, found: PeriodVerdict) -> Ranking | None:
    """The ranking over the incidents that are not another party's."""
    if found.app is None:
        return None
    known = traffic(
        engine,
        found.app,
        Period(found.since_ns),
        found.clears_requests(),
        found.culprits_known(),
    )
    return rank(known.incidents, known.exposure, limit=6) if known else None


def _print(found: PeriodVerdict) -> None:
    sure = f" ({word_for(found.confidence)}, {percent(found.confidence)})"
    print_words(f"{found.app}: {headline(found)}" + (sure if found.confidence else ""))
    if not found.incidents:
        print("Is the watcher running? `standfast doctor` says.")
        return
    print()
    columns = [
        Column("incidents", number=True), Column("whose job"), Column("cause", flexible=True),
        Column("since"), Column("sure", number=True),
    ]  # fmt: skip
    rows = [
        [
            str(each.incidents),
            each.cause.party,
            each.cause.name,
            moment(each.first_ns)[:16].replace("T", " "),
            percent(each.confidence) if each.confidence else "",
        ]
        for each in found.causes
    ]
    print_table(columns, rows)
    print()
    for culprit in found.culprits[:5]:
        print_words(f"Culprit in {culprit.incidents}: {culprit.route[:200]}")
    print_pairs((each.cause.name, f"{each.cause.words} {each.cause.fix}") for each in found.causes)
    print()
