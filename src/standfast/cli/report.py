"""``standfast report``: crashes, why they happened, slow and failed requests, what is in flight."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from standfast.cli import options
from standfast.cli.tables import (
    Column,
    columns_of,
    crop,
    duration,
    harmless,
    line_width,
    moment,
    print_table,
)
from standfast.errors import StandfastError, UsageError

if TYPE_CHECKING:
    from standfast.diagnose.verdict import Verdict
    from standfast.store.queries import Struck

#: So many requests of one crash are told of.
_MOST_TOLD = 20
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "report",
        help="show crashes, verdicts, suspects, slow and failed requests, what is in flight",
        description="Shows what the watcher has stored. Ends with status 1 when crashes, slow or "
        "failed requests were found.",
    )
    parser.add_argument(
        "what",
        choices=(
            "crashes",
            "incident",
            "verdict",
            "suspects",
            "slow",
            "errors",
            "logged",
            "inflight",
        ),
    )
    parser.add_argument("id", nargs="?", type=_number, metavar="ID", help="of `incident`")
    parser.add_argument(
        "--since", type=_since, metavar="WHEN", help="30m, 2h, 7d, or 2026-11-23T08:00 (UTC)"
    )
    parser.add_argument(
        "--route", metavar="ROUTE", help="only this one: /order/{int}, /order/17, /ord*"
    )
    parser.add_argument("--limit", type=_limit, default=20, metavar="N", help="default: 20")
    parser.add_argument("--json", action="store_true", help="for programs, see docs/report.md")
    parser.add_argument("--html", metavar="FILE", help="of `verdict`: a page to hand over")
    options.add_settings(parser, "app", "journal", "store")


def run(arguments: argparse.Namespace) -> int:
    """Prints one report."""
    if (arguments.what == "incident") != (arguments.id is not None):
        raise UsageError("An incident is named by its number: standfast report incident ID")
    if arguments.html is not None and arguments.what != "verdict":
        raise UsageError("--html belongs to `standfast report verdict`")
    show = {
        "crashes": _crashes,
        "incident": _one_incident,
        "verdict": _verdict,
        "suspects": _suspects,
        "slow": _slow,
        "errors": _errors,
        "logged": _logged,
        "inflight": _in_flight,
    }
    return show[arguments.what](arguments)


def _since(text: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match:
        return time.time_ns() - int(match[1]) * _UNITS[match[2]] * 1_000_000_000
    try:
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return int(when.timestamp() * 1e9)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is neither like 2h nor a date") from None


def _limit(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000000")
    return int(text)


def _number(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and 0 < int(text[:19]) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of an incident")
    return int(text[:19])


def _store(arguments: argparse.Namespace) -> tuple[Any, Any]:
    from standfast.store import open_store
    from standfast.store.queries import Filter

    engine = open_store(options.settings(arguments).store, create=False, update=False)
    route = arguments.route and _route(arguments.route)
    wanted = Filter(options.given_app(arguments), arguments.since, route, arguments.limit)
    return engine, wanted


def _route(text: str) -> str:
    """The route that is meant by a template, a path, or the beginning of either and a star."""
    from standfast.watch.folding import fold

    if text.endswith("*") or "<" in text:
        return text
    return fold(text.partition("?")[0].encode()).decode("utf-8", "replace")


def _crashes(arguments: argparse.Namespace) -> int:
    from standfast.diagnose import shapes
    from standfast.diagnose.verdict import verdicts
    from standfast.store.in_flight import MOST
    from standfast.store.queries import incidents
    from standfast.store.tables import HANG

    engine, wanted = _store(arguments)
    found = incidents(engine, wanted, MOST if arguments.json else _MOST_TOLD)
    judged = verdicts(engine, [each.row.id for each in found])
    if arguments.json:
        _print_json([shapes.incident(each, judged[each.row.id]) for each in found])
    elif not found:
        print("No worker died. Is the watcher running? `standfast doctor` says.")
        _print_loading(arguments)
    else:
        width = line_width()
        for row, requests, left_out in found:
            died = row.signal or (
                f"exit code {row.exit_code}"
                if row.exit_code is not None
                else "hung"
                if row.kind == HANG
                else "unknown"
            )
            print(
                f"#{row.id}  {moment(row.died_ns)}  {harmless(row.app)}  worker {row.pid}  {died}"
            )
            for one in requests:
                age = duration(max(row.died_ns - one.begun_ns, 0) / 1e9)
                tail = f"  {age}  {crop(harmless(one.client), 24)}"
                head = f"    {crop(harmless(one.method), 10)} "
                print(head + crop(harmless(one.uri), width - columns_of(head + tail)) + tail)
            if left_out:
                print(f"    and {left_out:,} more: standfast report incident {row.id}")
            if not requests:
                none = "no request was in flight" if row.recorded else "no request was recorded"
                print(f"    {none}")
            print(f"    verdict: {_in_short(judged[row.id])}")
        print()
        print(_in_words(found))
        _print_loading(arguments)
        print("Next: standfast report incident ID, verdict, or suspects; --json for programs")
    return 1 if found else 0


def _print_loading(arguments: argparse.Namespace) -> None:
    """Workers that hang at their start have no request, and no incident while they live."""
    from standfast.watch.loading import LONG_S, loading

    app = options.given_app(arguments)
    for one in loading(options.settings(arguments).journal):
        if one.age_s >= LONG_S and app in (None, one.app):
            print(harmless(f"W{one.words[1:]}."))


def _in_short(verdict: Verdict) -> str:
    from standfast.diagnose.words import percent

    if not verdict.confidence:
        known = verdict.cause.name != verdict.party
        return f"{verdict.party}, {verdict.cause.name}" if known else verdict.party
    named = ""
    if verdict.culprit is not None:
        named = f"; culprit known ({percent(verdict.culprit_probability or 0.0)})"
    sure = f"{verdict.word}, {percent(verdict.confidence)}"
    return f"{verdict.party}, {verdict.cause.name} ({sure}){named}"


def _one_incident(arguments: argparse.Namespace) -> int:
    from standfast.cli import incident

    engine, _ = _store(arguments)
    return incident.show(engine, arguments.id, as_json=arguments.json)


def _verdict(arguments: argparse.Namespace) -> int:
    from standfast.cli import verdict

    return verdict.show(*_store(arguments), html=arguments.html, as_json=arguments.json)


def _how_many(found: Sequence[Struck]) -> str:
    """How many workers died, and how many hang: those live."""
    from standfast.diagnose.words import plural
    from standfast.store.tables import HANG

    hang = sum(each.row.kind == HANG for each in found)
    dead = len(found) - hang
    said = [f"{plural(dead, 'worker')} died"] if dead else []
    said += [f"{plural(hang, 'worker')} hung"] if hang else []
    return f"{' and '.join(said)}."


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


def _suspects(arguments: argparse.Namespace) -> int:
    from standfast.cli import suspects

    return suspects.show(*_store(arguments), as_json=arguments.json)


def _slow(arguments: argparse.Namespace) -> int:
    return _closed(arguments, "slow", "No request was slow.")


def _errors(arguments: argparse.Namespace) -> int:
    status = _closed(arguments, "failed", "No request failed.")
    if not arguments.json:
        _print_logged(arguments)
    return status


def _closed(arguments: argparse.Namespace, outcome: str, nothing: str) -> int:
    from standfast.diagnose import shapes
    from standfast.store.queries import closed

    engine, wanted = _store(arguments)
    found = closed(engine, outcome, wanted)
    if arguments.json:
        _print_json([shapes.closed(row) for row in found])
    elif not found:
        print(f"{nothing} Is the watcher running? `standfast doctor` says.")
    else:
        _print_closed(found, outcome)
    return 1 if found else 0


def _logged(arguments: argparse.Namespace) -> int:
    from standfast.diagnose import shapes
    from standfast.store.queries import logged

    if arguments.json:
        _print_json([shapes.logged(row) for row in logged(*_store(arguments))])
    elif not _print_logged(arguments):
        print("No request that did not fail has logged an error.")
    return 0


def _print_logged(arguments: argparse.Namespace) -> bool:
    from standfast.store.queries import logged

    found = logged(*_store(arguments))
    if found:
        print("\nLogged as errors in requests that did not fail:")
        several = _of_several(found)
        columns = [
            Column("times", number=True), Column("last"), *[Column("application")] * several,
            Column("route", flexible=True), Column("error", flexible=True),
        ]  # fmt: skip
        rows = [
            [
                f"{row.count:,}",
                moment(row.last_ns),
                *_app(row) * several,
                row.template,
                row.place,
            ]
            for row in found
        ]
        print_table(columns, rows)
    return bool(found)


def _print_closed(found: Sequence[Any], outcome: str) -> None:
    if outcome == "failed":
        _print_failed(found)
        return
    several = _of_several(found)
    columns = [
        Column("begun"), *[Column("application")] * several, Column("took", number=True),
        Column("status"), Column("method"), Column("request", flexible=True),
    ]  # fmt: skip
    rows = []
    for row in found:
        begun, *rest = _cells(row)
        rows.append([begun, *_app(row) * several, *rest, row.uri])
    print_table(columns, rows)


def _of_several(found: Sequence[Any]) -> bool:
    """Whether rows are of more than one application, so that each has to name its own."""
    return len({row.app for row in found}) > 1


def _app(row: Any) -> list[str]:
    return [row.app[:20]]


def _cells(row: Any) -> list[str]:
    took = duration((row.duration_ns or 0) / 1e9)
    return [moment(row.begun_ns), took, str(row.status or "none"), row.method[:8]]


def _print_failed(found: Sequence[Any]) -> None:
    """Each with its error on a line of its own: side by side they would leave no room for both."""
    several = _of_several(found)
    for row in found:
        begun, took, status, method = map(harmless, _cells(row))
        head = "  ".join([begun, *map(harmless, _app(row) * several), status, f"{took:>7}"])
        print(crop(f"{head}  {method} {harmless(row.uri)}", line_width()))
        last = harmless((row.error or "").strip().rpartition("\n")[2])
        print(f"    {crop(last, line_width() - 4)}" if last else "    (no exception was recorded)")


def _in_flight(arguments: argparse.Namespace) -> int:
    from standfast.diagnose import shapes
    from standfast.store import open_store
    from standfast.watch.inflight import in_flight
    from standfast.watch.proxies import Proxies

    settings = options.settings(arguments)
    engine = None
    with suppress(StandfastError):  # the journals themselves say what is in flight
        engine = open_store(settings.store, create=False, update=False)
    try:
        proxies = Proxies(
            settings.trusted_proxies, settings.proxy_hops, truncated=settings.truncate_clients
        )
        found = in_flight(settings.journal, options.given_app(arguments), engine, proxies)
    except OSError as error:
        raise StandfastError(
            f"journal folder {settings.journal}: {error.strerror}; name another with --journal"
        ) from None
    found = found[: arguments.limit]
    if arguments.json:
        _print_json(
            [
                {
                    **shapes.request(one, one.id, one.begun_ns),
                    "app": one.app,
                    "age_s": round(one.age_s, 6),
                    "state": one.state,
                    "worker_pid": one.worker_pid,
                }
                for one in found
            ]
        )
    elif not found:
        print("Nothing is in flight.")
        _print_loading(arguments)
    else:
        columns = [
            Column("age", number=True), Column("application"), Column("worker", number=True),
            Column("state"), Column("method"), Column("request", flexible=True),
        ]  # fmt: skip
        print_table(
            columns,
            [
                [duration(one.age_s), one.app[:20], str(one.worker_pid), one.state, one.method[:8]]
                + [one.uri]
                for one in found
            ],
        )
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
