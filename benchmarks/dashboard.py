"""How quickly the dashboard answers over a month of a busy application, in SQLite.

    python -m benchmarks.dashboard [--folder DIR] [--share PART] [--rounds N] [--json]

Fills a store with 10 million ordinary requests rolled up, 100,000 slow or failed ones and 10,000
incidents (three minutes; with ``--folder`` it is kept for three hours and used again). Then the
real ``standfast serve`` is started on it, a customer signs in over HTTP, and every page and the
beginning of every export is asked for with each period, filter and order: once as the first
visitor does, then some times more. The times are the client's, over loopback, to the last byte of
a page and to the first rows of an export.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from sqlalchemy import func, select

from standfast.store import open_store
from standfast.store.people import add_person
from standfast.store.tables import FAILED, incident, request, worker

from .dashboard_store import APP, Filler, Say, Sizes
from .machine import describe

PERIODS = ("24h", "7d", "30d", "all")
#: What a page may take at the server, in milliseconds.
GOAL_MS = 100.0
_NAME = "customer"
_STALE_S = 3 * 3600
_LASTS_S = 1800
_UP_S = 300.0
_RANKED_S = 120.0
_PAUSE_S = 0.2


class Address(NamedTuple):
    """One page or export. ``streamed`` is an export of which only the beginning is waited for."""

    name: str
    path: str
    streamed: bool = False


class Figures(NamedTuple):
    """Of one address, in milliseconds: the first visit, and those that followed."""

    name: str
    first_ms: float
    median_ms: float
    worst_ms: float
    size: int


class Ranking(NamedTuple):
    """One ranking: how long it took in seconds, and how long pages took meanwhile, in
    milliseconds."""

    period: str
    seconds: float
    pages: int
    median_ms: float
    worst_ms: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Fills, serves, measures, prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--folder", help="where to keep the store; a temporary one if not given")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows, for a quick look")
    parser.add_argument("--rounds", type=int, default=15, help="visits after the first")
    parser.add_argument("--only", default="", help="addresses that match this expression")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    sizes = Sizes(*(max(int(options.share * whole), 100) for whole in Sizes()))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        store = folder / f"dashboard-{options.share:g}.db"
        fill_s = _filled(store, sizes)
        password = secrets.token_urlsafe(24)
        name = f"{_NAME}-{secrets.token_hex(4)}"
        engine = open_store(str(store))
        add_person(engine, name, password, [APP], admin=False)
        engine.dispose()
        with _served(store) as (base, pid, up_s), httpx.Client(base_url=base, timeout=120) as web:
            _sign_in(web, name, password)
            rankings = [_ranked(web, period) for period in PERIODS]
            wanted = [each for each in _addresses(store) if re.search(options.only, each.name)]
            figures = []
            for at, address in enumerate(wanted, 1):
                _say(f"{at} of {len(wanted)}: {address.name}")
                figures.append(_measured(web, address, options.rounds))
            memory = _memory(pid)
    report = {
        "machine": describe()._asdict(),
        "sizes": sizes._asdict(),
        "fill_s": fill_s,
        "up_s": round(up_s, 2),
        "memory_mib": memory,
        "rankings": [each._asdict() for each in rankings],
        "pages": [each._asdict() for each in figures],
    }
    print(json.dumps(report, indent=2) if options.json else _table(report, figures, rankings))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _filled(store: Path, sizes: Sizes) -> float | None:
    """Fills the store; how long it took in seconds, None where it was there."""
    if store.exists() and time.time() - store.stat().st_ctime < _STALE_S:
        return None
    for file in store.parent.glob(f"{store.name}*"):
        file.unlink()
    unfinished = store.with_suffix(".part")
    for file in store.parent.glob(f"{unfinished.name}*"):
        file.unlink()
    began_s = time.monotonic()
    engine = open_store(str(unfinished))
    Filler(engine, sizes, _every(1.0, _say)).fill()
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    unfinished.rename(store)
    return round(time.monotonic() - began_s, 1)


def _every(seconds: float, say: Say) -> Say:
    said_s = float("-inf")

    def sometimes(line: str) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= seconds:
            said_s = time.monotonic()
            say(line)

    return sometimes


@contextmanager
def _served(store: Path) -> Iterator[tuple[str, int, float]]:
    """``standfast serve`` on the store: its address, its process, the seconds until it was up."""
    command = [sys.executable, "-m", "standfast", "serve", "--bind=127.0.0.1:0", f"--store={store}"]
    began_s = time.monotonic()
    with subprocess.Popen([*command, f"--for={_LASTS_S}"], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            found = re.search(rb"http://\S+[^/\s]", server.stdout.readline())
            if found is None:
                raise SystemExit("standfast serve has not come up")
            base = found[0].decode()
            _until_up(base, began_s + _UP_S)
            yield base, server.pid, time.monotonic() - began_s
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _until_up(base: str, deadline_s: float) -> None:
    while time.monotonic() < deadline_s:
        try:
            httpx.get(f"{base}/signin").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("standfast serve does not answer")


def _sign_in(web: httpx.Client, name: str, password: str) -> None:
    seal = re.search(r'name="seal" value="([^"]+)"', web.get("/signin").text)
    assert seal is not None
    form = {"seal": seal[1], "next": "/", "name": name, "password": password}
    answer = web.post("/signin", data=form)
    if answer.status_code != 303:
        raise SystemExit(f"signing in was answered with {answer.status_code}")


def _addresses(store: Path) -> list[Address]:
    """Everything there is to ask for."""
    engine = open_store(str(store))
    with engine.connect() as connection:
        last = connection.execute(select(func.max(incident.c.id))).scalar_one()
        row = connection.execute(
            select(worker.c.uid, request.c.seq, request.c.place)
            .join(worker, worker.c.id == request.c.worker_id)
            .where(request.c.outcome == FAILED, request.c.place.is_not(None))
            .limit(1)
        ).one()
        host = connection.execute(select(worker.c.host).limit(1)).scalar_one()
    engine.dispose()
    filters = {
        "a route": {"route": "/order/{int}"},
        "routes": {"route": "/product*"},
        "a host": {"host": host},
        "text found often": {"q": "page=3"},
        "text found seldom": {"q": "ref=mail-1234&"},
        "text found never": {"q": "nowhere to be found"},
    }
    orders = {
        "overview": (),
        "crashes": ("time", "verdict", "confidence", "host"),
        "suspects": (),
        "slow": ("duration", "time", "route", "status"),
        "errors": ("time", "duration", "route", "status"),
    }
    own = {"errors": {"a place": {"place": row.place}, "a status": {"status": "502"}}}
    found = [
        Address("home", "/"),
        Address("signin", "/signin"),
        Address("account", "/account"),
        Address("inflight", "/apps/1/inflight"),
        Address("one request", f"/apps/1/requests/{row.uid}-{row.seq}"),
        Address("shares", "/apps/1/shares"),
        *[Address(f"incident {n}", f"/apps/1/crashes/{n}") for n in (last, last // 2, 1)],
    ]

    def add(name: str, path: str, streamed: bool = False, **query: str) -> None:
        whole = httpx.URL(f"/apps/1{path}", params=query)
        found.append(Address(name, str(whole), streamed))

    for page, sorts in orders.items():
        path = "" if page == "overview" else f"/{page}"
        for period in PERIODS:
            add(f"{page} {period}", path, period=period)
            for sort in sorts:
                add(f"{page} {period} by {sort}, ascending", path, period=period, sort=sort)
                if sort != sorts[0]:
                    add(f"{page} {period} by {sort}", path, period=period, sort=f"-{sort}")
            for words, chosen in {**filters, **own.get(page, {})}.items():
                if page != "suspects" and not (page == "overview" and "q" in chosen):
                    add(f"{page} {period}, {words}", path, period=period, **chosen)
        if sorts:
            add(f"{page} all, page 100", path, period="all", page="100")
            both = {**filters["a route"], **filters["text found seldom"], **filters["a host"]}
            add(f"{page} all, a route, a host and text", path, period="all", **both)
    for page in ("crashes", "slow", "errors", "inflight", "suspects"):
        for kind in ("csv", "json"):
            for period in PERIODS[:1] if page == "inflight" else PERIODS:
                add(f"{page}.{kind} {period}", f"/{page}.{kind}", True, period=period)
    for period in PERIODS:
        add(f"report.html {period}", "/report.html", period=period)
    return found


def _measured(web: httpx.Client, address: Address, rounds: int) -> Figures:
    ask = _beginning if address.streamed else _whole
    times, sizes = zip(*(_timed(ask, web, address) for _ in range(1 + rounds)), strict=True)
    return Figures(
        address.name,
        round(times[0], 1),
        round(statistics.median(times[1:]), 1),
        round(max(times[1:]), 1),
        sizes[0],
    )


def _timed(
    ask: Callable[[httpx.Client, str], int], web: httpx.Client, address: Address
) -> tuple[float, int]:
    if not address.streamed:
        return _clocked(ask, web, address.path)
    # A connection of its own: it is closed before the answer has ended.
    with httpx.Client(base_url=web.base_url, cookies=web.cookies, timeout=120) as own:
        found = _clocked(ask, own, address.path)
    # The server notices only when it writes on that nobody reads: not to be paid by the next.
    time.sleep(_PAUSE_S)
    return found


def _clocked(
    ask: Callable[[httpx.Client, str], int], web: httpx.Client, path: str
) -> tuple[float, int]:
    began = time.perf_counter()
    size = ask(web, path)
    return 1000 * (time.perf_counter() - began), size


def _whole(web: httpx.Client, path: str) -> int:
    answer = web.get(path)
    if answer.status_code not in (200, 303):
        raise SystemExit(f"{path} was answered with {answer.status_code}")
    return len(answer.content)


def _beginning(web: httpx.Client, path: str) -> int:
    with web.stream("GET", path) as answer:
        if answer.status_code != 200:
            raise SystemExit(f"{path} was answered with {answer.status_code}")
        size = 0
        for part in answer.iter_raw():
            size += len(part)
            if size > 2_000:
                break
    return size


def _ranked(web: httpx.Client, period: str) -> Ranking:
    """Has a ranking made, and asks for pages while it is."""
    _say(f"a ranking over {period}")
    began_s = time.monotonic()
    times = []
    paths = ("", "/crashes", "/slow", "/errors")
    made = False
    while not made and time.monotonic() - began_s < _RANKED_S:
        asked = web.get("/apps/1/suspects", params={"period": period})
        made = "refresh" not in asked.headers
        seconds = time.monotonic() - began_s
        for path in () if made else paths:
            began = time.perf_counter()
            web.get(f"/apps/1{path}", params={"period": "24h"})
            times.append(1000 * (time.perf_counter() - began))
    if not made:
        raise SystemExit(f"the ranking over {period} was not made within {_RANKED_S:g} s")
    median_ms = round(statistics.median(times), 1) if times else 0.0
    return Ranking(
        period, round(seconds, 2), len(times), median_ms, round(max(times, default=0.0), 1)
    )


def _memory(pid: int) -> dict[str, int]:
    """Resident memory of the server and of what it has started, in MiB: now and at its peak."""
    now = peak = 0
    for each in [pid, *_children(pid)]:
        try:
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        values = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
        now += int(values.get("VmRSS", 0)) // 1024
        peak += int(values.get("VmHWM", 0)) // 1024
    return {"now": now, "peak": peak}


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def _table(report: dict[str, Any], figures: list[Figures], rankings: list[Ranking]) -> str:
    sizes = report["sizes"]
    lines = [
        f"{sizes['requests']:,} ordinary requests rolled up, {sizes['kept']:,} slow or failed,"
        f" {sizes['incidents']:,} incidents",
        f"up after {report['up_s']} s, memory {report['memory_mib']['now']} MiB"
        f" (peak {report['memory_mib']['peak']})",
        "",
        f"{'ms':50} {'first':>8} {'median':>8} {'worst':>8} {'KiB':>7}",
    ]
    lines += [
        f"{each.name:50} {each.first_ms:8.1f} {each.median_ms:8.1f} {each.worst_ms:8.1f}"
        f" {each.size / 1024:7.0f}{'  *' if each.worst_ms > GOAL_MS else ''}"
        for each in figures
    ]
    lines += [
        f"ranking {each.period}: {each.seconds:.1f} s; {each.pages} pages meanwhile: median"
        f" {each.median_ms:.1f} ms, worst {each.worst_ms:.1f} ms"
        for each in rankings
    ]
    over = [each for each in figures if each.median_ms > GOAL_MS]
    lines.append(f"{len(over)} of {len(figures)} above {GOAL_MS:.0f} ms in the median")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
