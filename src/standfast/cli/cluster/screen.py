"""How the servers of a site are, on one screen. What servers say is made harmless."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from standfast.cli.tables import crop, harmless, line_width
from standfast.cluster.inventory import Server, Site
from standfast.cluster.status.judgement import DISK, LAG_S, Finding, since
from standfast.cluster.status.matrix import ages, behind
from standfast.cluster.status.seen import Replica, Seen, SiteSeen

_NAME = 12
_NUMBERS = ("up", "load", "disk", "clock, s")
_COLUMNS = ("server", "location", "state", "up", "load", "services", "links", "disk", "clock, s")
_GOOD, _BAD = "green", "bold red"
Value = TypeVar("Value", int, float)


def console() -> Console:
    """Where to print: as wide as the terminal, with colours in a terminal only."""
    return Console(width=line_width(), highlight=False, emoji=False, markup=False)


def show(out: Console, what: RenderableType) -> None:
    """Prints it at once, without the spaces that fill its lines up."""
    with out.capture() as captured:
        out.print(what)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def screen(site: Site, seen: SiteSeen, findings: Sequence[Finding]) -> RenderableType:
    """A row for each server, what came of whom to whom, and below what is wrong."""
    parts: list[RenderableType] = [_head(site, seen, findings), "", _servers(site, seen, findings)]
    if seen.replicas():
        parts += [
            "",
            Columns(
                [
                    _matrix("heartbeats, s", site, ages(site, seen), _age),
                    _matrix("transactions behind", site, behind(site, seen), _count),
                ],
                padding=(0, 4),
            ),
        ]
    if findings:
        parts += ["", _wrong(findings)]
    return Group(*parts)


def _head(site: Site, seen: SiteSeen, findings: Sequence[Finding]) -> Text:
    at = datetime.fromtimestamp(seen.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    many = len(site.servers)
    text = Text(f"{site.name}: {many} server{'s' * (many != 1)}, {site.database.topology}, {at}: ")
    if findings:
        return text.append("something is wrong", _BAD)
    return text.append("all is well", _GOOD)


def _servers(site: Site, seen: SiteSeen, findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    for title in _COLUMNS:
        flexible = title == "location"
        table.add_column(
            title, no_wrap=not flexible, overflow="fold", ratio=1 if flexible else None,
            justify="right" if title in _NUMBERS else "left",
        )  # fmt: skip
    wrong = {finding.server for finding in findings}
    for server in site.servers:
        one = seen.servers[server.name]
        name = crop(server.name, _NAME)
        place = Text(harmless(server.location))
        if not isinstance(one, Seen):
            table.add_row(name, place, Text("away", _BAD))
            continue
        bad = server.name in wrong
        table.add_row(
            name, place, Text("wrong", _BAD) if bad else Text("well", _GOOD), since(one.uptime_s),
            f"{one.load[0]:.2f}", _run(one), _links(one.replica), _disk(one), _clock(one),
        )  # fmt: skip
    return table


def _run(one: Seen) -> Text:
    active = sum(state == "active" for state in one.services.values())
    return _share(active, len(one.services))


def _links(replica: Replica | None) -> Text:
    if replica is None:
        return Text("?")
    return _share(sum(link.runs for link in replica.links), len(replica.links))


def _share(good: int, of: int) -> Text:
    return Text(f"{good} of {of}", "" if good == of else _BAD)


def _disk(one: Seen) -> Text:
    fullest = max((disk.used for disk in one.disks), default=None)
    if fullest is None:
        return Text("?")
    return Text(f"{100 * fullest:.0f} %", _BAD if fullest > DISK else "")


def _clock(one: Seen) -> str:
    return f"{one.clock.offset_s:+.2f} ±{one.clock.accuracy_s:.2f}"


def _matrix(
    title: str,
    site: Site,
    values: Mapping[tuple[str, str], Value | None],
    shown: Callable[[Value | None], Text],
) -> Table:
    """A row for each origin, a column for each server that has read it."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(title, no_wrap=True, max_width=20)
    for reader in site.servers:
        table.add_column(crop(reader.name, 5), no_wrap=True, justify="right", min_width=5)

    def cell(origin: Server, reader: Server) -> Text:
        key = (origin.name, reader.name)
        return shown(values[key]) if key in values else Text("-")

    for origin in site.servers:
        row = [cell(origin, reader) for reader in site.servers]
        table.add_row(f"of {crop(origin.name, _NAME)}", *row)
    return table


def _age(age_s: float | None) -> Text:
    if age_s is None:
        return Text("never", _BAD)
    if age_s < 1000:
        words = f"{age_s:.1f}" if age_s < 100 else f"{age_s:.0f}"
    else:
        minutes = age_s / 60
        words = f"{minutes:.0f}m" if minutes < 1000 else f"{minutes / 1440:.0f}d"
    return Text(words, _BAD if age_s > LAG_S else "")


def _count(count: int | None) -> Text:
    if count is None:
        return Text("-")
    if count < 100_000:
        return Text(str(count))
    return Text(f"{count // 1000}k" if count < 10_000_000 else f"{count // 1_000_000}M")


def _wrong(findings: Sequence[Finding]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style=_BAD)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(crop(finding.server, _NAME), Text(harmless(finding.words)))
    return table
