"""``standfast report``: crashes, suspects, slow and failed requests, and what is in flight."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

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
from standfast.errors import StandfastError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = subparsers.add_parser(
        "report",
        help="show crashes, suspects, slow and failed requests, and what is in flight",
        description="Shows what the watcher has stored. Ends with status 1 when crashes, slow or "
        "failed requests were found.",
    )
    parser.add_argument("what", choices=("crashes", "suspects", "slow", "errors", "inflight"))
    parser.add_argument(
        "--since", type=_since, metavar="WHEN", help="30m, 2h, 7d, or 2026-11-23T08:00 (UTC)"
    )
    parser.add_argument(
        "--route", metavar="ROUTE", help="only this one: /order/{int}, /order/17, /ord*"
    )
    parser.add_argument("--limit", type=_limit, default=20, metavar="N", help="default: 20")
    parser.add_argument("--json", action="store_true", help="for programs, see docs/report.md")
    options.add_settings(parser, "app", "journal", "store")


def run(arguments: argparse.Namespace) -> int:
    """Prints one report."""
    show = {
        "crashes": _crashes,
        "suspects": _suspects,
        "slow": _slow,
        "errors": _errors,
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


def _store(arguments: argparse.Namespace) -> tuple[Any, Any]:
    from standfast.store import open_store
    from standfast.store.queries import Filter

    engine = open_store(options.settings(arguments).store, create=False)
    route = arguments.route and _route(arguments.route)
    wanted = Filter(options.given_app(arguments), arguments.since, route, arguments.limit)
    return engine, wanted


def _route(text: str) -> str:
    """The route that is meant by a template, a path, or the beginning of either and a star."""
    from standfast.watch.routes import fold

    if text.endswith("*"):
        return text
    return fold(text.partition("?")[0].encode()).decode("utf-8", "replace")


def _crashes(arguments: argparse.Namespace) -> int:
    from standfast.store.queries import incidents

    found = incidents(*_store(arguments))
    if arguments.json:
        _print_json([_incident(row, requests) for row, requests in found])
    elif not found:
        print("No worker died. Is the watcher running? `standfast doctor` says.")
    else:
        width = line_width()
        for row, requests in found:
            died = row.signal or (
                "unknown" if row.exit_code is None else f"exit code {row.exit_code}"
            )
            print(
                f"#{row.id}  {moment(row.died_ns)}  {harmless(row.app)}  worker {row.pid}  {died}"
            )
            for one in requests:
                age = duration(max(row.died_ns - one.begun_ns, 0) / 1e9)
                tail = f"  {age}  {crop(harmless(one.client), 24)}"
                head = f"    {crop(harmless(one.method), 10)} "
                print(head + crop(harmless(one.uri), width - columns_of(head + tail)) + tail)
            if not requests:
                print("    no request was in flight")
        print()
        print(_in_words(found))
        print("Next: standfast report suspects, or standfast report crashes --json")
    return 1 if found else 0


def _in_words(found: Sequence[tuple[Any, Sequence[Any]]]) -> str:
    died = len(found)
    words = f"{died} worker{'s' * (died != 1)} died."
    seen = Counter(
        route
        for _, requests in found
        for route in {f"{one.method} {one.route}" for one in requests}
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
    return _closed(arguments, "failed", "No request failed.")


def _closed(arguments: argparse.Namespace, outcome: str, nothing: str) -> int:
    from standfast.store.queries import closed

    engine, wanted = _store(arguments)
    found = closed(engine, outcome, wanted)
    if arguments.json:
        _print_json([_closed_request(row, outcome) for row in found])
    elif not found:
        print(f"{nothing} Is the watcher running? `standfast doctor` says.")
    else:
        _print_closed(found, outcome)
    return 1 if found else 0


def _print_closed(found: Sequence[Any], outcome: str) -> None:
    columns = [Column("begun"), Column("took", number=True), Column("status"), Column("method")]
    errors = outcome == "failed"
    rows = []
    for row in found:
        took = duration((row.duration_ns or 0) / 1e9)
        cells = [moment(row.begun_ns), took, str(row.status or "none"), row.method[:8]]
        last = (row.error or "").strip().rpartition("\n")[2]
        rows.append([*cells, row.uri, last] if errors else [*cells, row.uri])
    flexible = [Column("request", flexible=True)]
    print_table([*columns, *flexible, *[Column("error", flexible=True)] * errors], rows)


def _in_flight(arguments: argparse.Namespace) -> int:
    from standfast.store import open_store
    from standfast.watch.inflight import in_flight

    settings = options.settings(arguments)
    engine = None
    with suppress(StandfastError):  # the journals themselves say what is in flight
        engine = open_store(settings.store, create=False)
    try:
        found = in_flight(settings.journal, options.given_app(arguments), engine)
    except OSError as error:
        raise StandfastError(
            f"journal folder {settings.journal}: {error.strerror}; name another with --journal"
        ) from None
    found = found[: arguments.limit]
    if arguments.json:
        _print_json(
            [
                {
                    **_common(one, one.id, one.begun_ns),
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


def _incident(row: Any, requests: Sequence[Any]) -> dict[str, Any]:
    return {
        "incident": row.id,
        "app": row.app,
        "host": row.host,
        "worker_pid": row.pid,
        "died_at": moment(row.died_ns),
        "signal": row.signal,
        "exit_code": row.exit_code,
        "requests": [
            {
                **_common(one, f"{one.uid}-{one.seq}", one.begun_ns),
                "age_s": round(max(row.died_ns - one.begun_ns, 0) / 1e9, 6),
                "route": one.route,
            }
            for one in requests
        ],
    }


def _closed_request(row: Any, outcome: str) -> dict[str, Any]:
    shown = {
        **_common(row, f"{row.uid}-{row.seq}", row.begun_ns),
        "app": row.app,
        "route": row.route,
        "status": row.status,
        "duration_s": None if row.duration_ns is None else row.duration_ns / 1e9,
    }
    return {**shown, "error": row.error} if outcome == "failed" else shown


def _common(one: Any, name: str, begun_ns: int) -> dict[str, Any]:
    return {
        "id": name,
        "method": one.method,
        "uri": one.uri,
        "client": one.client,
        "user_agent": one.user_agent,
        "begun_at": moment(begun_ns),
        "kind": one.kind,
    }


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
