"""Every statement of the watcher, the reports and the pages is answered from an index.

All of them are made to ask a real store, and SQLite is asked how it goes about each. Its plans
rest on the schema alone (no statistics are kept), so a store of a million rows has the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from standfast.cli.main import main
from standfast.journal.format import ABORTED, RUNNING
from standfast.store.listing import COUNTED
from standfast.store.people import add_person, add_share, open_session
from standfast.store.tables import application, incident, request, worker
from standfast.watch import Settings
from standfast.web import create_app
from standfast.web.site import SESSION_COOKIE, Site
from tests.unit.watch.journals import SECOND, House, dead, living

#: Tables that grow with traffic, crashes and visits. Routes have a limit for each application.
GROWING = frozenset(
    [
        "request", "ordinary_request", "worker", "incident", "evidence", "rollup", "rollup_hour",
        "rollup_day", "pending_exit", "pending_signal", "session", "share", "failed_sign_in",
        "failure_hour", "failure_day",
    ]
)  # fmt: skip
#: What narrows a search among requests: an outcome alone does not.
_NARROWS = ("application_id=", "worker_id=", "incident_id=", "rowid", "id=")
_STEP = re.compile(r"(SCAN|SEARCH) (\w+)(.*)")
#: Scans on purpose, each with its reason.
ALLOWED = {
    # The dashboard judges all incidents when it starts, so it asks for the numbers of all.
    "SELECT incident.id \nFROM incident",
}

Asked = dict[str, Any]


@contextmanager
def listening(asked: Asked) -> Iterator[None]:
    """Notes every statement that any engine sends."""

    def hear(
        _c: object, _cursor: object, statement: str, parameters: Any, _x: object, many: bool
    ) -> None:
        asked.setdefault(statement, parameters[0] if many else parameters)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def faults(engine: Engine, asked: Asked) -> list[str]:
    """The statements that read more of a growing table than they need, and how."""
    found = []
    with engine.connect() as connection:
        for statement, parameters in asked.items():
            if statement in ALLOWED or not statement.startswith(("SELECT", "UPDATE", "DELETE")):
                continue
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [str(row[3]) for row in rows]
            sorts = any("TEMP B-TREE FOR ORDER BY" in step for step in steps)
            ends_early = "LIMIT" in statement and not sorts
            found += [f"{step}\n  {statement}" for step in steps if _is_fault(step, ends_early)]
    return found


def _is_fault(step: str, ends_early: bool) -> bool:
    if "AUTOMATIC" in step:
        return True
    match = _STEP.match(step)
    if match is None or match[2] not in GROWING:
        return False
    if match[1] == "SCAN":
        return not ends_early
    return match[2] == "request" and not any(word in match[3] for word in _NARROWS)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("queries"), Settings(hang_s=0.001, slow_s=0.001))


@pytest.fixture(scope="module")
def watched(house: House) -> Asked:
    """What the watcher asks while about everything happens that can."""
    asked: Asked = {}
    with listening(asked):
        one, gone = house.journal(living()), house.journal(dead())
        for journal in (one, gone):
            journal.now_ns = time.time_ns() - 3 * SECOND
            journal.request("/ordinary", duration_s=0.0001)
            journal.request("/slow", duration_s=2)
            journal.request("/failed", 500, error=b"ValueError: no\n")
        late = [one.begin("/late") for _ in range(3)]
        torn = one.begin("/torn")
        gone.begin("/killer")
        house.drain()
        one.end(late[0])
        one.end(late[1], flags=RUNNING)
        one.end(late[2], 500)
        one.end(torn, flags=ABORTED)
        hung = one.begin("/hangs")
        one.writer.exit(1, 4711, -9, time.time_ns())
        house.drain()
        one.end(hung)
        for pid in range(5000, 5003):
            other = house.journal(dead("blog", pid))
            other.begin("/killer")
        house.drain()
        house.watcher._hangs_at = 0.0
        house.drain()
        gone.writer.close()
        house.restart()
        house.drain()
        house.restart()
        while house.watcher._expire():
            pass
    return asked


def test_the_watcher_reads_nothing_from_end_to_end(house: House, watched: Asked) -> None:
    assert len(watched) > 40
    assert {row.outcome for row in house.rows(request)} >= {"slow", "failed", "unfinished"}
    assert faults(house.engine, watched) == []


@pytest.mark.usefixtures("watched")
def test_no_report_reads_anything_from_end_to_end(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--journal", str(house.folder), "--store", house.url)
    filters: tuple[list[str], ...] = (
        [],
        ["--app", "shop"],
        ["--since", "7d"],
        ["--route", "/kill*"],
    )
    everything = ["--app", "shop", "--since", "7d", "--route", "/failed"]
    asked: Asked = {}
    with listening(asked):
        for what in ("crashes", "slow", "errors", "inflight"):
            for chosen in (*filters, everything):
                for shape in ([], ["--json"]):
                    main(["report", what, *chosen, *shape, *folder])
        for what in ("verdict", "suspects"):
            for since in ([], ["--since", "7d"], ["--since", "30d"]):
                main(["report", what, "--app", "shop", *since, *folder])
        for shape in ([], ["--json"]):
            main(["report", "incident", "1", *shape, *folder])
        main(["doctor", *folder])
    assert "Traceback" not in capsys.readouterr().err
    assert len(asked) > 15
    assert faults(house.engine, asked) == []


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("looked_at", [COUNTED, 1])
def test_no_page_reads_anything_from_end_to_end(
    house: House, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where more is kept than is looked at for one page."""
    monkeypatch.setattr("standfast.store.listing.COUNTED", looked_at)
    engine = house.engine
    person = add_person(engine, f"ada-{looked_at}", "correct horse battery", [], True)
    row = house.rows(request, outcome="failed")[0]
    name = f"{house.row(worker, id=row.worker_id).uid}-{row.seq}"
    app = house.row(application, name="shop").id
    number = house.rows(incident, application_id=app)[0].id
    asked: Asked = {}
    site = Site(engine)
    with listening(asked), TestClient(create_app(site)) as client:
        client.get("/signin")
        token = open_session(engine, person.id, time.time_ns())
        client.cookies.set(SESSION_COOKIE, site.signed(token, "session"))
        share = add_share(engine, person, "shop", None, None, 60, time.time_ns())
        for query in (
            "", "?period=1h", "?period=30d", "?period=all", "?route=/fail*", "?host=web1",
            "?q=ref", "?from=2026-01-01T00:00&to=2026-02-01T00:00", "?q=a&route=/a&host=b",
        ):  # fmt: skip
            for page in ("", "/crashes", "/slow", "/errors", "/inflight", "/suspects"):
                assert client.get(f"/apps/{app}{page}{query}").status_code == 200
            for what in ("crashes", "slow", "errors", "inflight"):
                for kind in ("json", "csv"):
                    assert client.get(f"/apps/{app}/{what}.{kind}{query}").status_code == 200
        for sort in ("time", "-time", "duration", "-duration", "route", "-status"):
            for page in ("slow", "errors"):
                assert client.get(f"/apps/{app}/{page}?sort={sort}").status_code == 200
        for path in (
            "/errors?place=ValueError", "/errors?status=500", f"/crashes/{number}", "/shares",
            f"/requests/{name}", "/report.html",
        ):  # fmt: skip
            assert client.get(f"/apps/{app}{path}").status_code == 200, path
        client.get(f"/shared/{site.signed(str(share.id), 'share')}")
        client.get("/")
        client.get("/account")
    assert len(asked) > 40
    assert faults(engine, asked) == []


def test_a_scan_would_be_found(house: House) -> None:
    """The test can fail: each of these has been in the program."""
    asked: Asked = {}
    with listening(asked), house.engine.connect() as connection:
        for statement in (
            "SELECT id FROM request WHERE outcome = 'failed' ORDER BY begun_ns DESC LIMIT 5",
            "SELECT sum(duration_ns) FROM ordinary_request WHERE worker_id = 1",
            "SELECT count(*) FROM evidence WHERE kind = 'exit'",
        ):
            connection.exec_driver_sql(statement)
    assert len(faults(house.engine, asked)) == 3
