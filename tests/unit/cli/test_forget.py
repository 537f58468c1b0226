"""``standfast forget``: what is deleted is gone from the disk, and what is not is said."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from standfast.cli.main import main
from standfast.diagnose.verdict.loading import load
from standfast.diagnose.verdict.verdict import judge
from standfast.store import writing
from standfast.store.evidence import LOG, Fact, add_facts
from standfast.store.tables import (
    evidence,
    incident,
    ordinary_request,
    request,
    rollup,
    rollup_day,
    route,
    worker,
)
from standfast.watch import Settings
from standfast.watch.forget import Address, file_names
from tests.unit.watch.journals import SECOND, House, dead, living, wait_until

GONE = "203.0.113.77"
STAYS = "203.0.113.7"


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two clients, each with an ordinary, a slow, a failed and an unfinished request."""
    house = House(tmp_path)
    journal = house.journal(dead())
    journal.now_ns = time.time_ns() - 5 * SECOND
    for client in (GONE, STAYS):
        journal.end(journal.begin("/ordinary", client=client))
        journal.end(journal.begin("/slow", client=client), duration_s=2)
        journal.end(
            journal.begin("/failed", client=client), 500, error=b"no luck with " + client.encode()
        )
        journal.begin("/unfinished", client=client)
    journal.end(journal.begin(f"/whois?ip={GONE}", client=STAYS), 500)
    house.drain()
    with writing(house.engine) as connection:
        (row,) = connection.execute(worker.select()).all()
        words = f"connection from {GONE}:4711 lost, and from {STAYS}"
        add_facts(connection, row.id, [Fact(LOG, "log", 1, words, {"from": GONE})])
    return house


def _forget(house: House, *arguments: str) -> int:
    folder = ("--journal", str(house.folder), "--store", house.url)
    return main(["forget", *arguments, *folder])


def test_without_yes_it_only_counts(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    before = [house.rows(table) for table in (request, ordinary_request, evidence)]
    assert _forget(house, "--client", GONE) == 0
    assert _forget(house, "--before", "0m") == 0
    assert [house.rows(table) for table in (request, ordinary_request, evidence)] == before
    out = capsys.readouterr().out
    assert "1  ordinary requests" in out
    assert "1  incidents" in out
    assert out.count("Nothing was deleted") == 2


def test_after_it_no_file_of_the_store_has_a_trace_of_the_client(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.close()
    house.engine.dispose()
    address = Address(GONE)
    files = [path for path in Path(house.url).parent.glob("store.db*") if path.is_file()]
    assert any(file_names(path, address) for path in files)
    assert _forget(house, "--client", GONE, "--yes") == 0
    assert "is in neither any more" in capsys.readouterr().out
    for path in Path(house.url).parent.glob("store.db*"):
        assert GONE.encode() not in path.read_bytes(), path.name
        assert not file_names(path, address)
    rows = house.rows(request)
    assert {row.client for row in rows} == {STAYS}
    assert sorted(row.outcome for row in rows) == ["failed", "failed", "slow", "unfinished"]
    assert [row.uri for row in rows if "whois" in row.uri] == ["/whois?ip=[forgotten]"]
    (fact,) = [row for row in house.rows(evidence) if row.kind == LOG]
    assert fact.text == f"connection from [forgotten]:4711 lost, and from {STAYS}"
    assert len(house.rows(ordinary_request)) == 1
    assert len(house.rows(incident)) == 1, "that a worker died is no personal data"
    assert sum(row.count for row in house.rows(rollup)) == 7, "nor are counts"


def test_no_verdict_takes_it_for_a_finding_that_forgotten_requests_were_not_in_flight(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.close()
    (row,) = house.rows(incident)
    for client in (GONE, STAYS):
        assert _forget(house, "--client", client, "--yes") == 0
    (case,) = load(house.engine, [row.id])
    assert (case.requests, case.recorded) == ((), False)
    assert not any("No request was in flight" in words for words in judge(case).supports)
    capsys.readouterr()
    assert main(["report", "crashes", "--store", house.url]) == 1
    assert "no request was in flight" not in capsys.readouterr().out


@pytest.mark.parametrize("ends", [False, True], ids=["hangs to its end", "came back"])
def test_of_a_worker_that_lives_a_hang_that_was_forgotten_is_no_sign_that_nothing_was_in_flight(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ends: bool
) -> None:
    house = House(tmp_path, Settings(hang_s=60, keep_ordinary_s=1e9))
    journal = house.journal()

    def hang(client: str) -> int:
        fields = f"{client}\0GET\0/stuck\0shop.test\0\0curl/8".encode()
        return journal.begin_raw(fields, time.time_ns() - 100 * SECOND)

    def hanging() -> list[str]:
        house.drain()
        return [row.client for row in house.rows(request) if row.incident_id]

    stuck = hang(GONE)
    wait_until(hanging)
    assert _forget(house, "--client", GONE, "--yes") == 1, "the journal still has it"
    journal.request("/later")
    if ends:
        journal.end(stuck, duration_s=100)
    house.drain()
    (row,) = house.rows(incident)
    (case,) = load(house.engine, [row.id])
    assert (case.requests, case.left_out, case.recorded) == ((), 1, False)
    assert not any("No request was in flight" in words for words in judge(case).supports)
    capsys.readouterr()
    assert main(["report", "crashes", "--store", house.url]) == 1
    assert "no request was" not in capsys.readouterr().out
    # And the next hang of this worker is told of as ever.
    hang(STAYS)
    wait_until(lambda: hanging() == [STAYS])


def test_what_was_deleted_earlier_goes_from_free_pages_too(house: House) -> None:
    """Rows that retention deleted leave their bytes in pages that are free."""
    with writing(house.engine) as connection:
        connection.execute(request.delete())
        connection.execute(ordinary_request.delete())
    assert _forget(house, "--client", GONE, "--yes") == 0
    for path in Path(house.url).parent.glob("store.db*"):
        assert GONE.encode() not in path.read_bytes(), path.name


def test_everything_before_a_moment_goes(house: House) -> None:
    house.close()
    journal = house.journal(living())
    journal.now_ns = time.time_ns() + 60 * SECOND
    journal.request("/later", 500)
    house.restart()
    house.drain()
    with writing(house.engine) as connection:
        died = worker.update().where(worker.c.died_ns.is_not(None))
        connection.execute(died.values(died_ns=1))
        connection.execute(incident.update().values(died_ns=1))
    assert _forget(house, "--before", "0m", "--yes") == 0
    assert [row.uri for row in house.rows(request)] == ["/later"]
    assert house.rows(ordinary_request) == house.rows(incident) == house.rows(evidence) == []
    (left,) = house.rows(worker)
    assert left.died_ns is None
    assert len(house.rows(rollup_day)) >= 1, "the day is not over yet"


def test_files_that_still_hold_it_are_said(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = house.journal(living())
    journal.end(journal.begin("/", client=GONE))
    house.drain()
    assert _forget(house, "--client", GONE, "--yes") == 1
    out = capsys.readouterr().out
    assert "1 file(s) of running or unread workers still hold it" in out
    assert "restart the application" in out


def test_a_route_that_names_the_client_is_another_one_afterwards(house: House) -> None:
    with writing(house.engine) as connection:
        app = connection.execute(route.select()).first()
        assert app is not None
        for path in (f"/a/{GONE}", f"/a/{GONE}/"):
            row = {"application_id": app.application_id, "kind": "http", "template": path}
            connection.execute(route.insert().values(row))
    assert _forget(house, "--client", GONE, "--yes") == 0
    templates = [row.template for row in house.rows(route)]
    assert not any(GONE in template for template in templates)
    assert len(set(templates)) == len(templates)


@pytest.mark.parametrize(
    ("address", "text", "found"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "from 192.0.2.1:80, lost", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.17", False),
        ("192.0.2.1", "1192.0.2.1", False),
        ("192.0.2.1", "9.192.0.2.1", False),
        ("192.0.2.1", "192.0.2.1.9", False),
        ("2001:db8::1", "[2001:DB8::1]:443", True),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1", True),
        ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", True),
        ("2001:db8::1", "2001:db8::1:2", False),
        ("2001:db8::1", "2001:db8::12", False),
    ],
)
def test_an_address_is_found_however_it_is_written(address: str, text: str, found: bool) -> None:
    assert Address(address).is_in(text) is found
    assert Address(address).is_in(text.encode()) is found


@pytest.mark.parametrize(
    "wrong",
    [[], ["--client", "shop"], ["--before", "tomorrow"], ["--before", "2999-01-01"],
     ["--client", GONE, "--before", "1d"]],
)  # fmt: skip
def test_wrong_use_is_said(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["forget", *wrong])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    assert status == 2
    assert "Traceback" not in capsys.readouterr().err
