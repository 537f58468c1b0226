"""What ``standfast forget`` does: everything before a moment, or everything of one client.

Rows are found and deleted a part at a time, so that the watcher and the pages go on meanwhile.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from standfast.store import writing
from standfast.store.dialect import search
from standfast.store.failures import FAILURE_DAYS, FAILURE_HOURS, failure
from standfast.store.period import DAYS, HOURS, MINUTES
from standfast.store.tables import (
    FAILED,
    OPEN,
    SLOW,
    TEMPLATE_LIMIT,
    application,
    evidence,
    incident,
    logged_error,
    ordinary_request,
    request,
    route,
    worker,
)

from .retention import (
    Kept,
    closed,
    failures,
    incidents,
    kinds_of_failure,
    logged,
    rollups,
    workers,
)

#: What stands where an address stood.
FORGOTTEN = "[forgotten]"
#: How many rows one step looks at.
_STEP = 5_000
_READ_BYTES = 1024 * 1024


class Count(NamedTuple):
    """How many there are of one kind of row."""

    kind: str
    number: int


class Address:
    """A client's address in all the ways in which it may have been written."""

    def __init__(self, text: str) -> None:
        """Raises ValueError where it is none."""
        address = ipaddress.ip_address(text.strip())
        mapped = getattr(address, "ipv4_mapped", None)
        self.spellings = sorted({str(each) for each in (mapped or address,)} | {text.strip()})
        if isinstance(mapped or address, ipaddress.IPv6Address):
            self.spellings += [address.exploded]
        words = "|".join(map(re.escape, self.spellings))
        # 192.0.2.1 is no part of 192.0.2.17, and fe80::1 none of fe80::1:2.
        edges = r"(?<![0-9A-Fa-f:])", r"(?![0-9A-Fa-f:])"
        if ":" not in str(mapped or address):
            edges = r"(?<![0-9])(?<![0-9]\.)", r"(?![0-9]|\.[0-9])"
        self._pattern = re.compile(f"{edges[0]}(?:{words}){edges[1]}", re.IGNORECASE)
        self._in_bytes = re.compile(self._pattern.pattern.encode(), re.IGNORECASE)

    def is_in(self, text: str | bytes | None) -> bool:
        """Whether it stands in a text."""
        if isinstance(text, bytes):
            return self._in_bytes.search(text) is not None
        return text is not None and self._pattern.search(text) is not None

    def taken_out(self, text: str) -> str:
        """The text without it."""
        return self._pattern.sub(FORGOTTEN, text)


def count_before(engine: Engine, before_ns: int) -> list[Count]:
    """What ``forget_before`` would delete."""
    old = request.c.begun_ns < before_ns
    struck = incident.c.died_ns < before_ns
    taken = select(incident.c.id).where(struck)
    counted: list[tuple[str, Table, ColumnElement[bool]]] = [
        ("ordinary requests", ordinary_request, ordinary_request.c.begun_ns < before_ns),
        ("slow requests", request, and_(request.c.outcome == SLOW, old)),
        ("failed requests", request, and_(request.c.outcome == FAILED, old)),
        ("requests that were in flight in incidents", request, request.c.incident_id.in_(taken)),
        ("incidents", incident, struck),
        ("workers", worker, worker.c.died_ns < before_ns),
        ("logged errors, counted", logged_error, logged_error.c.last_ns < before_ns),
    ]
    for name, span in (("minutes", MINUTES), ("hours", HOURS), ("days", DAYS)):
        whole = span.number < before_ns // span.length_ns
        counted.append((f"{name} of a route, counted", span.table, whole))
    for name, span in (("hours", FAILURE_HOURS), ("days", FAILURE_DAYS)):
        whole = span.number < before_ns // span.length_ns
        counted.append((f"{name} of failures at a place, counted", span.table, whole))
    with engine.connect() as connection:
        return [
            Count(kind, connection.execute(_number(table).where(condition)).scalar_one())
            for kind, table, condition in counted
        ]


def forget_before(engine: Engine, before_ns: int, step: Callable[[], None]) -> None:
    """Deletes what was before a moment, of all applications. ``step`` is called now and then."""
    kept = Kept(before_ns)
    for low, high in _ranges(engine, ordinary_request.c.id):
        with writing(engine) as connection:
            old = ordinary_request.c.begun_ns < before_ns
            within = ordinary_request.c.id.between(low, high)
            connection.execute(delete(ordinary_request).where(within, old))
        step()
    with engine.connect() as connection:
        apps = list(connection.execute(select(application.c.id)).scalars())
        routes = list(connection.execute(select(route.c.id)).scalars())
    for app_id in apps:
        for outcome in (SLOW, FAILED):
            _until_done(engine, lambda c: closed(c, app_id, outcome, kept), step)  # noqa: B023
    _until_done(engine, lambda c: incidents(c, kept), step)
    _until_done(engine, lambda c: workers(c, kept), step)
    for span in (MINUTES, HOURS, DAYS):
        for at in range(0, len(routes), 100):
            some = routes[at : at + 100]
            _until_done(engine, lambda c: rollups(c, span, some, kept), step)  # noqa: B023
    for span in (FAILURE_HOURS, FAILURE_DAYS):
        _until_done(engine, lambda c: failures(c, span, kept), step)  # noqa: B023
    _until_done(engine, kinds_of_failure, step)
    _until_done(engine, lambda c: logged(c, kept), step)


def of_client(
    engine: Engine, address: Address, step: Callable[[], None], *, remove: bool
) -> list[Count]:
    """How many rows are of one client, or name it; with ``remove`` they are deleted, or the
    address is taken out of their text."""
    counts = [
        Count("ordinary requests", _ordinary(engine, address, step, remove)),
        *_requests(engine, address, step, remove),
    ]
    for kind, table, names in (
        ("facts in which it stood", evidence, ("text", "data")),
        ("tracebacks in which it stood", worker, ("fault",)),
        ("logged errors in which it stood", logged_error, ("error", "place")),
        ("places of failures in which it stood", failure, ("place",)),
        ("routes in which it stood", route, ("template",)),
    ):
        number = 0
        for rows in _naming(engine, table, names, address):
            number += len(rows)
            if remove:
                _take_out(engine, table, names, rows, address)
            step()
        counts.append(Count(kind, number))
    return counts


def _ordinary(engine: Engine, address: Address, step: Callable[[], None], remove: bool) -> int:
    """Whole rows go, wherever in them it stands: they last for an hour only."""
    number = 0
    for low, high in _ranges(engine, ordinary_request.c.id):
        rows = select(ordinary_request.c.id, ordinary_request.c.raw)
        with engine.connect() as connection:
            found = connection.execute(rows.where(ordinary_request.c.id.between(low, high)))
            ids = [row.id for row in found if address.is_in(row.raw)]
        number += len(ids)
        if remove:
            _delete(engine, ordinary_request, ids)
        step()
    return number


def _requests(
    engine: Engine, address: Address, step: Callable[[], None], remove: bool
) -> list[Count]:
    """The client's own requests go, others lose the address."""
    own: dict[str, int] = {"slow": 0, "failed": 0, "in flight": 0, "open": 0}
    others = 0
    names = (
        "client",
        "peer",
        "forwarded_for",
        "host",
        "method",
        "uri",
        "user_agent",
        "error",
        "place",
    )
    for rows in _naming(engine, request, names, address):
        mine = [
            row for row in rows if address.is_in(row.client) or address.is_in(row.forwarded_for)
        ]
        rest = [row for row in rows if row not in mine]
        for row in mine:
            own[row.outcome if row.outcome in own else "in flight"] += 1
        others += len(rest)
        if remove:
            _count_as_left_out(engine, [row for row in mine if row.outcome not in (SLOW, FAILED)])
            _delete(engine, request, [row.id for row in mine])
            _take_out(engine, request, names, rest, address)
        step()
    words = {
        "slow": "slow requests",
        "failed": "failed requests",
        "in flight": "requests that were in flight in incidents",
        OPEN: "requests in flight now",
    }
    counts = [Count(words[outcome], number) for outcome, number in own.items()]
    return [*counts, Count("requests of others in which it stood", others)]


def _count_as_left_out(engine: Engine, rows: Sequence[Any]) -> None:
    """So that no verdict takes it for a finding that these were not in flight."""
    with writing(engine) as connection:
        for worker_id, number in Counter(row.worker_id for row in rows).items():
            mine = update(worker).where(worker.c.id == worker_id)
            connection.execute(mine.values(left_out=worker.c.left_out + number))


def _naming(
    engine: Engine, table: Table, names: Sequence[str], address: Address
) -> Iterator[list[Any]]:
    """The rows in one of whose texts the address stands, a part of the table at a time."""
    columns = [table.c[name] for name in names]
    extra = [table.c.outcome, table.c.worker_id] if table is request else []
    find = search(engine.dialect.name)
    near = or_(
        *[
            getattr(column, find)(text, autoescape=True)
            for column in columns
            for text in address.spellings
        ]
    )
    for low, high in _ranges(engine, table.c.id):
        wanted = select(table.c.id, *extra, *columns).where(table.c.id.between(low, high), near)
        with engine.connect() as connection:
            rows = connection.execute(wanted).all()
        found = [row for row in rows if any(address.is_in(getattr(row, name)) for name in names)]
        if found:
            yield found


def _take_out(
    engine: Engine, table: Table, names: Sequence[str], rows: Sequence[Any], address: Address
) -> None:
    with writing(engine) as connection:
        for row in rows:
            texts = {name: getattr(row, name) for name in names}
            values = {
                name: address.taken_out(text) for name, text in texts.items() if text is not None
            }
            if table is route:  # of two that become the same each stays one of its own
                values["template"] = f"{values['template'][: TEMPLATE_LIMIT - 20]}#{row.id}"
            if "place" in values:
                values["place"] = values["place"][:160]
            if table in (logged_error, failure):
                values["place"] = f"{values['place'][:140]}#{row.id}"
            connection.execute(update(table).where(table.c.id == row.id).values(values))


def _delete(engine: Engine, table: Table, ids: Sequence[int]) -> None:
    for at in range(0, len(ids), 500):
        with writing(engine) as connection:
            connection.execute(delete(table).where(table.c.id.in_(ids[at : at + 500])))


def _ranges(engine: Engine, column: Column[int]) -> Iterator[tuple[int, int]]:
    """The numbers of all rows, in parts."""
    with engine.connect() as connection:
        first, last = connection.execute(select(func.min(column), func.max(column))).one()
    if first is not None:
        for low in range(first, last + 1, _STEP):
            yield low, low + _STEP - 1


def _until_done(
    engine: Engine, part: Callable[[Connection], bool], step: Callable[[], None]
) -> None:
    more = True
    while more:
        with writing(engine) as connection:
            more = part(connection)
        step()


def _number(table: Table) -> Select[int]:
    return select(func.count()).select_from(table)


def files_naming(folder: str, address: Address) -> list[Path]:
    """The files of a journal folder in which the address stands: what the recorder writes is not
    ours to change."""
    found = []
    for path in sorted(Path(folder).glob("*/*")):
        if path.is_file() and not path.is_symlink() and file_names(path, address):
            found.append(path)
    return found


def file_names(path: Path, address: Address) -> bool:
    """Whether the address stands anywhere in a file. False where it cannot be read."""
    before = b""
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                if address.is_in(before + block):
                    return True
                before = block[-64:]
    except OSError:
        return False
    return False
