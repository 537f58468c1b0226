"""``standfast report suspects``: what most likely brings the workers down."""

from __future__ import annotations

import json

from sqlalchemy import Engine, select

from standfast.cli.tables import Column, harmless, print_table, print_words
from standfast.diagnose.words import percent
from standfast.errors import UsageError
from standfast.store.period import Period
from standfast.store.queries import Filter
from standfast.store.tables import application


def show(engine: Engine, wanted: Filter, *, as_json: bool) -> int:
    """Ranks the suspects of one application and prints them."""
    from standfast.diagnose.suspects import rank
    from standfast.diagnose.traffic import traffic
    from standfast.diagnose.verdict import period_verdict

    app = wanted.app or the_application(engine)
    found = None
    if app:
        judged = period_verdict(engine, app, wanted.since_ns)
        cleared, known = judged.clears_requests(), judged.culprits_known()
        found = traffic(engine, app, Period(wanted.since_ns), cleared, known)
    if found is None:
        nobody = "No incident for which a request may be to blame, so there is nobody to suspect."
        print("[]" if as_json else nobody)
        return 0
    ranking = rank(found.incidents, found.exposure, limit=wanted.limit)
    if as_json:
        print(json.dumps(ranking.as_json(), indent=2))
        return 1
    columns = [
        Column("guilty", number=True), Column("between", number=True),
        Column("suspect", flexible=True), Column("there in", number=True),
        Column("explains", number=True),
    ]  # fmt: skip
    count = len(found.incidents)
    rows = [
        [
            percent(one.probability),
            f"{100 * one.low:.0f}-{100 * one.high:.0f} %",
            one.trait if one.kind in ("route", "pair") else f"{one.kind} {one.trait}",
            f"{one.incidents} of {count}",
            f"{one.explains:.1f}",
        ]
        for one in ranking.suspects
    ]
    print_table(columns, rows)
    print()
    print_words(ranking.statement)
    return 1


def the_application(engine: Engine) -> str | None:
    """The application that the store is about; None where it is about none yet. Raises
    UsageError where there are several: one owner's report must not have another's requests."""
    with engine.connect() as connection:
        names = connection.execute(select(application.c.name).order_by(application.c.name))
        found = list(names.scalars())
    if len(found) > 1:
        known = ", ".join(harmless(name) for name in found[:10])
        raise UsageError(f"This is a report on one application: name it with --app ({known}).")
    return found[0] if found else None
