"""``standfast report``: crashes, why they happened, slow and failed requests, what is in flight."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from standfast.cli import options
from standfast.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from standfast.store.queries import Filter

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
    settings, as_json = options.settings(arguments), arguments.json
    # Each report loads what it needs and no more: that takes longer than most of them.
    if arguments.what == "inflight":
        from standfast.cli import in_flight

        app = options.given_app(arguments)
        return in_flight.show(settings, app, arguments.limit, as_json=as_json)
    engine, wanted = _store(arguments, settings.store)
    if arguments.what == "crashes":
        from standfast.cli import crashes

        return crashes.show(engine, wanted, settings.journal, as_json=as_json)
    if arguments.what == "incident":
        from standfast.cli import incident

        return incident.show(engine, arguments.id, as_json=as_json)
    if arguments.what == "verdict":
        from standfast.cli import verdict

        return verdict.show(engine, wanted, html=arguments.html, as_json=as_json)
    if arguments.what == "suspects":
        from standfast.cli import suspects

        return suspects.show(engine, wanted, as_json=as_json)
    from standfast.cli import closed

    show = {"slow": closed.show_slow, "errors": closed.show_failed, "logged": closed.show_logged}
    return show[arguments.what](engine, wanted, as_json=as_json)


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


def _store(arguments: argparse.Namespace, store: str) -> tuple[Engine, Filter]:
    from standfast.store import open_store
    from standfast.store.queries import Filter

    engine = open_store(store, create=False, update=False)
    app, route = options.given_app(arguments), arguments.route
    routes = _routes(engine, app, route) if route else None
    return engine, Filter(app, arguments.since, routes, arguments.limit)


def _routes(engine: Engine, app: str | None, text: str) -> tuple[str, ...]:
    """The routes that are meant by a route, a path, or the beginning of either and a star."""
    from standfast.store.queries import templates
    from standfast.watch.routes import of_path

    if text.endswith("*") or "<" in text:
        return (text,)
    return of_path(text.partition("?")[0], templates(engine, app))
