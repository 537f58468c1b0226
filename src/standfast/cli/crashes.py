"""``standfast report crashes``: the incidents, each with what was in flight and its verdict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Engine

from standfast.cli.loading import print_loading
from standfast.cli.tables import columns_of, crop, duration, harmless, line_width, moment
from standfast.diagnose import shapes
from standfast.diagnose.verdict import Verdict, verdicts
from standfast.diagnose.words import percent, plural
from standfast.store.in_flight import MOST
from standfast.store.queries import Filter, Struck, incidents
from standfast.store.tables import HANG

#: So many requests of one crash are told of.
_MOST_TOLD = 20


def show(engine: Engine, wanted: Filter, journal: str, *, as_json: bool) -> int:
    """Prints the incidents, and which workers of the folder ``journal`` hang at their start."""
    found = incidents(engine, wanted, MOST if as_json else _MOST_TOLD)
    judged = verdicts(engine, [each.row.id for each in found])
    if as_json:
        shown = [shapes.incident(each, judged[each.row.id]) for each in found]
        print(json.dumps(shown, indent=2))
    elif not found:
        print("No worker died. Is the watcher running? `standfast doctor` says.")
        print_loading(journal, wanted.app)
    else:
        for each in found:
            _print(each, judged[each.row.id])
        print()
        print(_in_words(found))
        print_loading(journal, wanted.app)
        print("Next: standfast report incident ID, verdict, or suspects; --json for programs")
    return 1 if found else 0


def _print(struck: Struck, verdict: Verdict) -> None:
    row, requests, left_out = struck
    when = moment(row.died_ns)
    print(f"#{row.id}  {when}  {harmless(row.app)}  worker {row.pid}  {_how(struck)}")
    for one in requests:
        age = duration(max(row.died_ns - one.begun_ns, 0) / 1e9)
        tail = f"  {age}  {crop(harmless(one.client), 24)}"
        head = f"    {crop(harmless(one.method), 10)} "
        width = line_width() - columns_of(head + tail)
        print(head + crop(harmless(one.uri), width) + tail)
    if left_out:
        print(f"    and {left_out:,} more: standfast report incident {row.id}")
    if not requests and not left_out:
        print(f"    no request was {'in flight' if row.recorded else 'recorded'}")
    print(f"    verdict: {_in_short(verdict)}")


def _how(struck: Struck) -> str:
    row = struck.row
    if row.signal:
        return str(row.signal)
    if row.exit_code is not None:
        return f"exit code {row.exit_code}"
    return "hung" if row.kind == HANG else "unknown"


def _in_short(verdict: Verdict) -> str:
    if not verdict.confidence:
        known = verdict.cause.name != verdict.party
        return f"{verdict.party}, {verdict.cause.name}" if known else verdict.party
    named = ""
    if verdict.culprit is not None:
        named = f"; culprit known ({percent(verdict.culprit_probability or 0.0)})"
    sure = f"{verdict.word}, {percent(verdict.confidence)}"
    return f"{verdict.party}, {verdict.cause.name} ({sure}){named}"


def _in_words(found: Sequence[Struck]) -> str:
    died = len(found)
    words = _how_many(found)
    seen = Counter(
        route for each in found for route in {f"{one.method} {one.route}" for one in each.requests}
    )
    for route, count in seen.most_common(3):
        share = "all" if count == died and died > 1 else ""
        number = f"{share} {count}".strip()
        words += f"\n{crop(harmless(route), 50)} was in flight in {number} of them."
    if len(seen) > 1:
        words += "\nThese are counts, and a route that is often in flight may be a bystander:"
        words += "\n`standfast report suspects` weighs them."
    return words


def _how_many(found: Sequence[Struck]) -> str:
    """How many workers died, and how many hang: those live."""
    hang = sum(each.row.kind == HANG for each in found)
    dead = len(found) - hang
    said = [f"{plural(dead, 'worker')} died"] if dead else []
    said += [f"{plural(hang, 'worker')} hung"] if hang else []
    return f"{' and '.join(said)}."
