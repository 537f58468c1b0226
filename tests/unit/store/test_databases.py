"""A store in MariaDB and in PostgreSQL says what one in SQLite says, to the letter."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect
from starlette.testclient import TestClient

from standfast.cli.main import main
from standfast.journal.format import ABORTED, RUNNING
from standfast.store import open_store, opening, writing
from standfast.store.evidence import LOG, Fact, add_facts, facts_of
from standfast.store.listing import Wanted, error_groups
from standfast.store.people import add_person, open_session
from standfast.store.tables import application, metadata, request, route, worker
from standfast.watch import Settings
from standfast.web import create_app
from standfast.web.site import SESSION_COOKIE, Site
from tests.unit.store.servers import Server, running
from tests.unit.watch.journals import House, dead, living

SERVERS = ("mariadb", "postgresql")
#: Longer than what MariaDB calls TEXT, in characters that take four bytes each.
LONG = "\N{PILE OF POO}" * 20_000


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(request.param) as started:
        yield started


def _live(house: House) -> None:
    """About everything that a watcher has to store."""
    one, gone = house.journal(living()), house.journal(dead())
    for journal in (one, gone):
        for path in ("/Café", "/café", "/cafe", "/cafe "):
            journal.request(path, 500, error=f"ValueError: no {path}\n".encode())
        journal.request("/ordinary")
        journal.request("/slow", duration_s=2, cpu_ns=7, sent=2**40)
        journal.request("/long", 500, error=LONG[:15_000].encode())
    late = [one.begin("/late") for _ in range(4)]
    gone.begin("/killer?a=\N{PILE OF POO}")
    gone.begin("/beside")
    house.drain()
    one.end(late[0])
    one.end(late[1], flags=RUNNING)
    one.end(late[2], 500)
    one.end(late[3], flags=ABORTED)
    one.writer.exit(1, 4711, -9, one.now_ns)
    for pid in range(5000, 5004):
        other = house.journal(dead("blog", pid))
        other.request("/a")
        other.begin("/killer")
    house.drain()
    house.restart()
    house.drain()


def _reports(house: House, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    folder = ("--store", house.url, "--json")
    said: dict[str, Any] = {}
    for what in (
        ["crashes"], ["crashes", "--app", "blog"], ["crashes", "--route", "/kill*"],
        ["errors"], ["errors", "--route", "/café"], ["errors", "--app", "shop", "--since", "1d"],
        ["slow"], ["verdict", "--app", "blog"], ["suspects", "--app", "blog"], ["incident", "1"],
    ):  # fmt: skip
        capsys.readouterr()
        main(["report", *what, *folder])
        # How long a worker lived is measured, so a probability is not the same to the last digit.
        text = re.sub(
            r"\d+\.\d{5,}", lambda found: f"{float(found[0]):.4f}", capsys.readouterr().out
        )
        said[" ".join(what)] = json.loads(text)
    return said


def test_all_three_databases_say_the_same(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    houses = []
    for name, url in (("sqlite", None), ("server", server.new_store())):
        (tmp_path / name).mkdir()
        houses.append(House(tmp_path / name, url=url))
        _live(houses[-1])
    expected, said = (_reports(house, capsys) for house in houses)
    for what, shown in expected.items():
        assert shown, what
        assert said[what] == shown, what
    for house in houses:
        assert {row.template for row in house.rows(route)} >= {"/Café", "/café", "/cafe", "/cafe "}
    monkeypatch.setattr("standfast.store.listing.COUNTED", 3)
    groups = [error_groups(house.engine, Wanted(1)) for house in houses]
    assert groups[0].is_rounded
    assert set(groups[0].groups) == set(groups[1].groups)
    counts = [
        [(row.outcome, row.uri, row.status, row.sent) for row in house.rows(request)]
        for house in houses
    ]
    assert counts[0] == counts[1]


def test_pages_and_forms_are_there(server: Server, tmp_path: Path) -> None:
    house = House(tmp_path, url=server.new_store())
    _live(house)
    person = add_person(house.engine, "ada", "correct horse battery", [], True)
    site = Site(house.engine)
    with TestClient(create_app(site)) as client:
        token = open_session(house.engine, person.id, time.time_ns())
        client.cookies.set(SESSION_COOKIE, site.signed(token, "session"))
        app = house.row(application, name="shop").id
        for query in ("", "?period=1h", "?period=all", "?q=CAF", "?route=/caf*", "?host=x"):
            for page in ("", "/crashes", "/slow", "/errors", "/inflight", "/suspects"):
                assert client.get(f"/apps/{app}{page}{query}").status_code == 200, (page, query)
        for sort in ("time", "-time", "duration", "-duration", "route", "-status"):
            rows = client.get(f"/apps/{app}/errors.json?period=all&sort={sort}").json()
            assert len(rows) == len({row["id"] for row in rows}) >= 10
        assert client.get(f"/apps/{app}/shares").status_code == 200
        assert client.get(f"/apps/{app}/report.html").status_code == 200


def test_rows_leave_the_store_here_too(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = House(tmp_path, url=server.new_store())
    _live(house)
    folder = ("--journal", str(tmp_path / "none"), "--store", house.url)
    assert main(["forget", "--client", "192.0.2.1", "--yes", *folder]) == 0
    assert "its own to purge" in capsys.readouterr().out
    assert [row for row in house.rows(request) if row.client == "192.0.2.1"] == []
    house.settings = Settings(
        keep_ordinary_s=0.001, keep_slow_s=0.001, keep_failed_s=0.001, keep_incidents_s=0.001
    )
    house.restart()
    while house.watcher._expire():
        pass
    assert {row.outcome for row in house.rows(request)} <= {"open"}


def test_long_texts_are_kept_whole(server: Server, tmp_path: Path) -> None:
    house = House(tmp_path, url=server.new_store())
    house.journal(dead()).begin("/")
    house.drain()
    (row,) = house.rows(worker)
    facts = [Fact(LOG, "log", 1, LONG, {"words": LONG}), Fact(LOG, "log", 1, "again", {})]
    for _ in range(2):
        with writing(house.engine) as connection:
            add_facts(connection, row.id, facts)
    with house.engine.connect() as connection:
        (fact,) = [one for one in facts_of(connection, [row.id])[row.id] if one.kind == LOG]
    assert (fact.text, fact.data["words"]) == (LONG, LONG)


def test_every_migration_can_be_undone_and_done_again(server: Server) -> None:
    engine = open_store(server.new_store())
    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).parent / "migrations"))
    for step in ("downgrade", "upgrade"):
        with writing(engine) as connection:
            config.attributes["connection"] = connection
            getattr(command, step)(config, "base" if step == "downgrade" else "head")
        tables = set(inspect(engine).get_table_names()) - {"alembic_version"}
        assert tables == (set() if step == "downgrade" else set(metadata.tables))
    engine.dispose()
