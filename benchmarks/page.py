"""The page of figures, as Markdown: ``docs/benchmarks.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .cost import KINDS, Cost
from .ingest import KINDS as JOURNALS
from .machine import Machine
from .parts import Part
from .parts import table as parts_table
from .peers import PEERS
from .pythons import Row
from .survivors import DEATHS, REQUEST, Survivor

_RUN = "python -m benchmarks"
_INTERFACES = {"wsgi": "WSGI", "asgi": "ASGI"}


class Report(NamedTuple):
    """All that a run measured; a part that was not wanted is empty."""

    machine: Machine
    costs: list[Cost]
    survivors: list[Survivor]
    ingest: Sequence[Mapping[str, Any]]
    pythons: Sequence[Row] = ()
    parts: Sequence[Part] = ()


def page(report: Report) -> str:
    """The page."""
    machine = report.machine
    parts = [
        "# What it costs, and what it keeps",
        "Written by `make bench`, every figure measured in the same run: change nothing here by "
        f"hand. Any row is repeated by its command, `.venv/bin/{_RUN}` with the options that stand "
        "beside it.",
        f"Measured on {machine.date}: {machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_gib:g} GiB, {machine.kernel}, Python {machine.python}, load average "
        f"{machine.load:g} when it began.",
    ]
    if machine.load > machine.cores / 4:
        parts.append(
            "**The machine was busy with other work**, so times are longer than they would be on a "
            "quiet one, and spread wider."
        )
    if report.costs:
        parts += _cost(report.costs)
    if report.pythons:
        parts += _pythons(report.pythons)
    if report.parts:
        parts += _parts(report.parts, machine.python)
    if report.survivors:
        parts += _survivors(report.survivors)
    if report.ingest:
        parts += _ingest(report.ingest)
    return "\n\n".join(parts) + "\n"


def _cost(costs: list[Cost]) -> list[str]:
    parts = [
        "## The cost of a request",
        "What a request takes with the peer around a bare application, less what it takes "
        "without: begin and end together, in microseconds. The application is called in the "
        "process, as a server calls it, with a dozen headers and a path and query that no other "
        "request has. Each peer has processes of its own, and in them short blocks of bare and "
        "wrapped requests take turns; a figure is the median of the differences within the "
        "pairs, and *middle half* says how far they spread. Requests follow one another without "
        "a pause, so a peer's own threads get in their way as they do in a busy worker; *CPU* "
        "counts those threads too, until they are idle again. All exporters send to a server on "
        "127.0.0.1 that takes everything at once.",
    ]
    for kind in KINDS:
        if rows := [cost for cost in costs if cost.kind == kind]:
            parts += [f"### {_INTERFACES[kind]}", _cost_table(rows), *_share(rows)]
    notes = dict.fromkeys(cost.peer for cost in costs)
    parts.append(
        "\n".join(
            f"- *{PEERS[name].title}*: {PEERS[name].note}" for name in notes if PEERS[name].note
        )
    )
    return parts


def _cost_table(rows: list[Cost]) -> str:
    own = next((row.median_us for row in rows if row.peer == "standfast" and row.rounds), 0.0)
    ours = ("standfast", "standfast-cpu", "floor")
    rows = [row for row in rows if row.peer in ours] + sorted(
        (row for row in rows if row.peer not in ours),
        key=lambda row: (bool(row.skipped), row.median_us),
    )
    return _table(
        ("", "version", "µs, median", "middle half", "mean", "CPU", "× Standfast", f"`{_RUN}` …"),
        (_cost_row(row, own) for row in rows),
    )


def _cost_row(row: Cost, own: float) -> tuple[str, ...]:
    title, repeat = PEERS[row.peer].title, f"`--only {row.kind} --only {row.peer}`"
    if row.skipped:
        return (title, "", f"not measured: {_plain(row.skipped)}", "", "", "", "", repeat)
    return (
        title,
        row.version,
        _us(row.median_us),
        f"{_us(row.low_us)}–{_us(row.high_us)}",
        _us(row.mean_us),
        _us(row.cpu_us),
        _ratio(row.median_us / own) if own > 0 else "",
        repeat,
    )


def _share(rows: list[Cost]) -> list[str]:
    by_name = {row.peer: row for row in rows if row.rounds}
    own, floor = by_name.get("standfast"), by_name.get("floor")
    if not own or not floor or own.median_us <= 0:
        return []
    return [
        f"The bare application and the making of its request take {_us(own.bare_us)} µs. Of "
        f"Standfast's {_us(own.median_us)} µs, {_us(floor.median_us)} µs "
        f"({floor.median_us / own.median_us:.0%}) are the floor: reading the clocks and copying "
        "the bytes into memory that outlives the process."
    ]


def _survivors(rows: list[Survivor]) -> list[str]:
    return [
        "## What is left after a worker died",
        "A small Flask application on gunicorn, two workers, a time-out of three seconds: a few "
        "requests that are answered, then one that kills its worker, then time for the peer to "
        "send what it has. The table says what it holds about the request that killed. *Asleep*: "
        "gunicorn interrupts Python code that waits too long, and the interrupted request ends "
        "with an exception that a peer may catch; *inside C code* nothing interrupts it, and the "
        "worker is killed. *Answered* is how many of the requests answered before it still held: "
        "what was in the memory of the worker is gone with it.",
        _table(
            ("", "version", *DEATHS.values(), "answered", f"`{_RUN}` …"),
            (_survivor_row(row) for row in rows),
        ),
    ]


def _survivor_row(row: Survivor) -> tuple[str, ...]:
    held = [row.held.get(death, "not measured") for death in DEATHS]
    held = [f"**{what}**" if what == REQUEST else what for what in held]
    if row.skipped:
        held[0] = f"not measured: {_plain(row.skipped)}"
    return (
        PEERS[row.peer].title,
        row.version,
        *held,
        f"{row.answered_held} of {row.answered}",
        f"`--only survivors --only {row.peer}`",
    )


def _pythons(rows: Sequence[Row]) -> list[str]:
    return [
        "### Under other Pythons",
        "Standfast alone, measured in the same way. Distributions build their Python with what "
        "profiling it has taught, as `--enable-optimizations` does; whoever builds one without "
        "that pays for it. The tables above were measured with the one that `make venv` found.",
        _table(
            ("Python", "built", "WSGI, µs", "ASGI, µs"),
            [
                (
                    row.build.version,
                    row.build.origin,
                    _us(row.wsgi_us),
                    _us(row.asgi_us),
                )
                for row in rows
            ],
        ),
    ]


def _parts(rows: Sequence[Part], python: str) -> list[str]:
    return [
        "### What each part costs",
        f"Of Standfast's own cost under Python {python}: each part done again and again by itself, "
        "the best of many short repetitions. By itself a part has all that it needs at hand; what "
        "the parts lack to the whole are calls, branches and waiting for memory. Repeated by "
        "`python -m benchmarks.parts`, under any Python.",
        parts_table(list(rows)),
    ]


def _ingest(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "## How fast the watcher reads",
        "Journals on disk into an empty SQLite store, by one process on one core.",
        _table(
            ("journals of", "requests", "size", "time", "requests a second", "memory at most",
             "`python benchmarks/ingest.py` …"),
            [_ingested(figures) for figures in runs],
        ),
    ]  # fmt: skip


def _ingested(figures: Mapping[str, Any]) -> tuple[str, ...]:
    title, repeat = JOURNALS[figures["kind"]], f"`--kind {figures['kind']}`"
    if "skipped" in figures:
        return (title, *[""] * 3, f"not measured: {_plain(figures['skipped'])}", "", repeat)
    return (
        title,
        f"{figures['requests']:,}",
        f"{figures['journal_bytes'] / 2**20:,.0f} MiB",
        f"{figures['seconds']:.1f} s",
        f"**{figures['requests_per_second']:,}**",
        f"{figures['peak_rss_mib']:.0f} MiB",
        repeat,
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(reason: object) -> str:
    """A message on one line that cannot break the table."""
    return " ".join(str(reason).replace("|", "/").split())[:160]


def _us(microseconds: float) -> str:
    digits = 2 if abs(microseconds) < 10 else 1 if abs(microseconds) < 100 else 0
    return f"{microseconds:.{digits}f}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"
